"""Benchmark protocols: DAVIS, PerSeg, HQSeg-44K and image prompts."""
