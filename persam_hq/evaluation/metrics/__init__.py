"""Measures of masks: region, boundary, overlap, confidence, and their statistics."""
