"""Training in two paths; the loop, its recipes and what they share."""
