"""What scoring raises."""

from persam_hq.errors import PersamHQError


class EvaluationError(PersamHQError):
    """A data set, an annotation or a prediction that cannot be scored as it is."""
