"""Training data: datasets, synthetic clips, simulated prompts, augmentation."""
