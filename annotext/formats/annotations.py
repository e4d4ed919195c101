"""The door to annotation files: recognise, read, and (for extended files) strip. See `coco`, `mpii` and `halpe`."""
