"""Trackers and baselines scored on datasets: benchmarks, ablation, sheets of failures."""
