"""lite as a segmenter: its windows, memory, matching and mask selection."""
