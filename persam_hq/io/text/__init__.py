"""Text of files and consoles: bounded readers of options, JSON of any names, natural order, and what may be shown."""
