"""Classical baselines: the first mask copied, optical flow, GrabCut."""
