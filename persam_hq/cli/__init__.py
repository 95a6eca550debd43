"""The command `persam-hq`: images, training, evaluation and checkpoints, without the video shell.

Each command's module adds its options and imports torch only when it runs, so that --help answers at once.
"""

from persam_hq.cli.main import main

__all__ = ["main"]
