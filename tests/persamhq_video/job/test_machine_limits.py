import pytest

from persamhq_video.config import make_config
from persamhq_video.errors import ConfigError
from persamhq_video.job import machine_limits
from persamhq_video.job.machine_limits import check_threads
from persamhq_video.job.prepare import make_job


@pytest.mark.parametrize(
    ("cores", "options", "is_allowed"),
    [
        (2, {"workers": 64}, True),
        (2, {"workers": 256, "executor": "inline"}, True),
        (2, {"threads_per_worker": 256}, True),
        (2, {"workers": 257}, False),
        (2, {"workers": 64, "threads_per_worker": 5}, False),
        (2, {"workers": 1000, "address": "auto"}, True),
        (128, {"workers": 1000}, True),
        (128, {"workers": 1024, "threads_per_worker": 2}, False),
    ],
)
def test_threads_of_one_machine(cores, options, is_allowed, monkeypatch):
    monkeypatch.setattr(machine_limits, "available_cores", lambda: cores)
    config = make_config(options)
    if is_allowed:
        check_threads(config)
    else:
        with pytest.raises(ConfigError, match=f"expected at most {max(256, 8 * cores)} threads on this machine; lower"):
            check_threads(config)


def test_a_job_is_checked_before_torch_hears_of_it(monkeypatch):
    monkeypatch.setattr(machine_limits, "available_cores", lambda: 2)
    with pytest.raises(ConfigError, match="got 64 workers with 200 math threads each"):
        make_job(make_config({"workers": 64, "threads_per_worker": 200}))
