from persam_hq.io.mappings import deep_merge


def test_the_upper_mapping_wins_in_depth():
    below, above = {"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"y": 3}, "c": 4}
    assert deep_merge(below, above) == {"a": {"x": 1, "y": 3}, "b": 1, "c": 4}
    assert below == {"a": {"x": 1, "y": 2}, "b": 1}


def test_a_value_replaces_a_mapping_and_the_other_way_round():
    assert deep_merge({"a": {"x": 1}, "b": 2}, {"a": 0, "b": {"y": 1}}) == {"a": 0, "b": {"y": 1}}
