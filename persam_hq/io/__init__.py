"""Files: images and masks, run lengths, atomic writes, and paths as they are typed."""
