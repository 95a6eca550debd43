"""The same results from every executor, however the work is spread."""

import os
import shutil

import numpy as np
import pytest
import torch
from stand_ins.tracker import BLUE, GREEN, RED

from persamhq_video.config import make_config
from persamhq_video.errors import ConfigError, ExecutorError
from persamhq_video.executors import open_executor
from persamhq_video.executors.factory import executor_kind, resolve_workers
from persamhq_video.io import open_source
from persamhq_video.job.prepare import make_job

pytestmark = pytest.mark.usefixtures("stand_in")


def run(clip, labels, **options):
    """Every result as (index, name, labels) and the usage."""
    job = make_job(make_config(options))
    with open_executor(job) as executor:
        stream = executor.stream(open_source(clip).frames(), labels)
        results = [(t.result.index, t.frame.name, t.result.labels.copy()) for t in stream]
        return results, executor.usage()


def assert_same(first, second):
    assert [r[:2] for r in first] == [r[:2] for r in second]
    for (_, _, ours), (_, _, theirs) in zip(first, second, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_results_are_in_order_and_follow_the_frames(clip, labels):
    results, usage = run(clip, labels, executor="inline")
    assert [index for index, _, _ in results] == list(range(12))
    np.testing.assert_array_equal(results[0][2], labels)
    assert len({found.tobytes() for _, _, found in results}) > 6
    assert usage.counts["tracked"] == 11
    assert usage.counts["features_hits"] == 11
    assert set(usage.seconds) == {"begin", "encode", "track"}
    assert len(usage.peak_memory) == 1


@pytest.mark.parametrize("mode", ["chained", "independent"])
@pytest.mark.parametrize("options", [{"workers": 1}, {"workers": 3}, {"feature_budget": 1}, {"feature_budget": 15_000}])
def test_inline_threads_and_budget_do_not_matter(clip, labels, mode, options):
    expected, _ = run(clip, labels, executor="inline", workers=2, mode=mode)
    found, _ = run(clip, labels, executor="inline", mode=mode, **options)
    assert_same(found, expected)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("workers", [1, 2])
def test_ray_gives_what_inline_gives(clip, labels, plugin_file, workers):
    options = {"plugins": (str(plugin_file),), "prompts": "mine"}
    expected, _ = run(clip, labels, executor="inline", **options)
    found, usage = run(clip, labels, executor="ray", workers=workers, feature_budget=15_000, **options)
    assert_same(found, expected)
    assert len(usage.peak_memory) == workers
    assert usage.counts["tracked"] == 11


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_ray_without_a_chain_and_several_videos(clip, make_clip, labels):
    expected, _ = run(clip, labels, executor="inline", mode="independent")
    job = make_job(make_config({"mode": "independent", "workers": 2}))
    with open_executor(job) as executor:
        for folder in (make_clip("other", frames=3), clip):
            results = list(executor.stream(open_source(folder).frames(), labels))
    assert_same([(t.result.index, t.frame.name, t.result.labels) for t in results], expected)


@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("executor", ["inline", "ray"])
def test_a_tracker_that_raises(make_clip, labels, executor):
    with pytest.raises(ExecutorError, match="frame 5: track failed: RuntimeError: the stand-in does not like red"):
        run(make_clip(trap=RED), labels, executor=executor, workers=1)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_worker_that_dies(make_clip, labels):
    with pytest.raises(ExecutorError, match="frame 5: its worker died or hung 3 times"):
        run(make_clip(trap=BLUE), labels, executor="ray", workers=1)


def test_results_before_an_error_are_delivered(make_clip, labels):
    with open_executor(make_job(make_config({"executor": "inline"}))) as executor:
        stream = executor.stream(open_source(make_clip(trap=GREEN)).frames(), labels)
        assert [next(stream).result.index for _ in range(5)] == [0, 1, 2, 3, 4]
        with pytest.raises(KeyboardInterrupt):
            next(stream)


def test_a_source_that_breaks_off(clip, labels):
    (clip / "f007.png").write_bytes((clip / "f007.png").read_bytes()[:300])
    with pytest.raises(Exception, match="frame 7 is missing or broken"):
        run(clip, labels, executor="inline")


@pytest.mark.usefixtures("ray_cluster")
def test_too_many_workers_for_a_cluster_are_refused(clip, labels):
    with pytest.raises(ExecutorError, match="64 workers with 1 CPU each do not fit a cluster with"):
        run(clip, labels, executor="ray", workers=64)


def test_the_callers_math_threads_come_back(clip, labels):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    run(clip, labels, executor="inline")
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_another_fingerprint_is_refused(monkeypatch, tmp_path):
    from stand_ins import tracker as stand_in_tracker

    weights = tmp_path / "weights.bin"
    weights.write_text("one")
    monkeypatch.setattr(stand_in_tracker, "weights_path", lambda config: weights)
    job = make_job(make_config({"executor": "inline"}))
    shutil.copy(__file__, weights)
    with (
        pytest.raises(ExecutorError, match=r"this process would compute other numbers .*weights_sha256"),
        open_executor(job),
    ):
        pass


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, "inline"),
        ({"workers": 1}, "inline"),
        ({"workers": 2}, "ray"),
        ({"address": "auto"}, "ray"),
        ({"executor": "inline", "workers": 4}, "inline"),
        ({"executor": "ray"}, "ray"),
    ],
)
def test_which_executor(options, kind):
    assert executor_kind(make_config({"device": "cpu", **options})) == kind


@pytest.mark.parametrize(
    ("options", "workers"),
    [
        ({"executor": "ray", "workers": 3}, 3),
        ({"executor": "inline", "workers": 7}, 7),
        ({"threads_per_worker": 256}, 1),
    ],
)
def test_how_many_workers(options, workers):
    assert resolve_workers(make_config({"device": "cpu", **options})) == workers


def test_workers_from_the_cores():
    assert 1 <= resolve_workers(make_config({"device": "cpu"})) <= min(4, os.cpu_count())


def test_inline_has_no_address():
    with pytest.raises(ConfigError, match="no use for an address"):
        executor_kind(make_config({"executor": "inline", "address": "auto"}))
