"""Reading films, frame by frame."""
