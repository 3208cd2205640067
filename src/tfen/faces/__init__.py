"""Where a face is in an image, and how it is cut out."""
