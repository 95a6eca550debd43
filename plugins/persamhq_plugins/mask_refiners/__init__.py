"""Built-in mask refiners, one a module."""
