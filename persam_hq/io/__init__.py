"""Files of images and masks, atomic writes and paths."""
