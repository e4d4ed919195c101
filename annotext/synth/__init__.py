"""Procedural people to practise on: an articulated 3-D body, its drawing, and labels as human annotators leave them.

No download, no licence, every keypoint known. `sets` is the door; numpy and cv2 only.
"""
