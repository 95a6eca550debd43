"""Measures of masks: region similarity, boundary measure, overlap in images, confidence, and statistics over clips."""
