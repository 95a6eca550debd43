"""Time stamps of written videos: they rise from zero, whatever the source has, and continue after a kill."""

from fractions import Fraction

from persamhq_video.io import MonotonicTimestamps

TICKS = Fraction(1, 12800)


def test_times_continue_where_they_were():
    pts = [-5, 3, 3, 1, 9, 10, 8]
    rising = MonotonicTimestamps(TICKS)
    whole_way = [rising(value, TICKS) for value in pts]
    assert whole_way == [0, 8, 9, 10, 14, 15, 16]
    for cut in range(1, len(pts)):
        later = MonotonicTimestamps.after(TICKS, first_pts=pts[0], first_base=TICKS, last=whole_way[cut - 1])
        assert [later(value, TICKS) for value in pts[cut:]] == whole_way[cut:]
