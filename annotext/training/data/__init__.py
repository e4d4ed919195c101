"""Data sets as training samples."""
