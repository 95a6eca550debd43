"""The chain from a video file to its results: source, encode, track, files."""
