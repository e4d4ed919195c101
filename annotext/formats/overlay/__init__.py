"""What annotext adds to an annotation file: written, revised and taken out.

The only package that knows the block's keys.
"""
