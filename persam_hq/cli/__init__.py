"""The commands of `persam-hq` but for training; torch is imported when one runs, not for --help."""

from persam_hq.cli.checkpoints import add_checkpoints
from persam_hq.cli.evaluate import add_evaluate
from persam_hq.cli.personalize import add_personalize
from persam_hq.cli.segment import add_segment

__all__ = ["add_checkpoints", "add_evaluate", "add_personalize", "add_segment"]
