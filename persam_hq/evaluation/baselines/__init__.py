"""Baselines without a learned model: the first mask copied, optical flow, GrabCut."""
