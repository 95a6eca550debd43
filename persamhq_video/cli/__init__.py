"""The command `persamhq-video`: the only place that prints, and that turns errors into one line and an exit code."""

from persamhq_video.cli.main import main

__all__ = ["main"]
