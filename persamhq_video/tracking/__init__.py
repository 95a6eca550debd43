"""Tracking as a fold over frames: state in, masks and next state out."""
