"""Built-in mask refiners, one per module."""
