"""The usage of several workers together."""

from persamhq_video.executors.usage import TotalUsage, Usage


def test_seconds_and_counts_are_summed_and_sizes_are_compared():
    one = Usage({"encode": 1.5, "track": 0.5}, {"tracked": 3, "features_high_water": 10, "feature_bytes_image": 4}, 100)
    two = Usage({"encode": 2.0}, {"tracked": 4, "features_high_water": 7, "feature_bytes_image": 6}, 200)
    total = TotalUsage.of([one, two])
    assert total.seconds == {"encode": 3.5, "track": 0.5}
    assert total.counts == {"tracked": 7, "features_high_water": 10, "feature_bytes_image": 6}
    assert total.peak_memory == (100, 200)


def test_without_a_worker():
    assert TotalUsage.of([]) == TotalUsage({}, {}, ())
