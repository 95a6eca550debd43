"""The way back where Ray cannot start: inline if nobody asked for Ray, an error in one line if somebody did."""

import pytest

from persamhq_video.config import make_config
from persamhq_video.errors import ClusterError, ConfigError
from persamhq_video.executors import open_executor
from persamhq_video.executors.workers import ray_pool
from persamhq_video.io import open_source
from persamhq_video.job.prepare import make_job

pytestmark = pytest.mark.usefixtures("stand_in")


@pytest.fixture(autouse=True)
def no_ray(monkeypatch):
    def connect(address, *, cpus, timeout):
        raise ClusterError(f"cannot start Ray (address {address}, {cpus} cpus, {timeout:g} s)")

    monkeypatch.setattr(ray_pool, "connect", connect)


def test_auto_goes_on_inline_and_says_so(clip, labels, caplog):
    with open_executor(make_job(make_config({"workers": 2, "device": "cpu"}))) as executor:
        results = list(executor.stream(open_source(clip).frames(), labels))
    assert len(results) == 12
    (message,) = caplog.messages
    assert message.startswith("cannot start Ray (address None, 2 cpus, 30 s); this run goes on inline")


@pytest.mark.parametrize(
    "options", [{"executor": "ray"}, {"executor": "ray", "workers": 2}, {"address": "auto"}, {"address": "head:6379"}]
)
def test_a_ray_that_was_asked_for_is_an_error(options, caplog):
    with pytest.raises(ClusterError, match="cannot start Ray"), open_executor(make_job(make_config(options))):
        pass
    assert caplog.messages == []


def test_how_long_a_cluster_may_take_is_an_option():
    job = make_job(make_config({"address": "auto", "workers": 1, "connect_timeout": "2.5"}))
    with pytest.raises(ClusterError, match=r"address auto, 1 cpus, 2.5 s"), open_executor(job):
        pass


@pytest.mark.parametrize("value", [0, -1, "nan", "inf", 1e300, "soon"])
def test_waits_without_end_are_refused(value):
    with pytest.raises(ConfigError, match="option connect_timeout"):
        make_config({"connect_timeout": value})
