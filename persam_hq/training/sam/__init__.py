"""Training of SAM models in two paths: SAM's parts, then the HQ parts."""
