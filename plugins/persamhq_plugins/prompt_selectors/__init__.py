"""Built-in prompt selectors, one a module."""
