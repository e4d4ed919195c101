"""annotext adds the keypoints a pose data set lacks, and says how far to trust each one."""

__version__ = "0.1.0"
