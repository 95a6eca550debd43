"""Small models, trackers and pools that stand in for the real ones in tests."""
