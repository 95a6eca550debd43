"""Frame readers: containers by PyAV or decord, folders of images, streams."""
