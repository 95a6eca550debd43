"""Frame readers: video files by PyAV or decord, folders of images, streams and cameras."""
