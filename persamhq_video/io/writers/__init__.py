"""Result writers: mask video, mattes, overlay, cut-out with alpha, run-length codes, scores."""
