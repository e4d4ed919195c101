"""Files to and from `annotext.core`: strict readers, lossless writers."""
