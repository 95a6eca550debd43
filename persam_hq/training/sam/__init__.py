"""Training of SAM-type models in two paths: SAM's own parts first, then the HQ parts."""
