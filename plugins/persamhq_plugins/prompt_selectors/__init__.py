"""Built-in prompt selectors, one per module."""
