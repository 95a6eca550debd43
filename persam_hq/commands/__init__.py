"""The commands of `persam-hq` but for training; torch is imported when one runs, not for --help."""

from persam_hq.commands.checkpoints import add_checkpoints
from persam_hq.commands.evaluate import add_evaluate
from persam_hq.commands.personalize import add_personalize
from persam_hq.commands.segment import add_segment

__all__ = ["add_checkpoints", "add_evaluate", "add_personalize", "add_segment"]
