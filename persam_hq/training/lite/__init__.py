"""Training of lite: the tracker unrolled over short clips."""
