"""Annotation files: one adapter a format, recognised by content."""
