"""Result writers: label videos, mattes, overlays, cut-outs, run lengths, scores."""
