"""The command `persamhq-video`: the only package that prints, and that turns errors into one line and an exit code.

`main` has the parsers and finds the module of a command; each command is a module with a function `run(args)`.
"""

from persamhq_video.cli.main import main

__all__ = ["main"]
