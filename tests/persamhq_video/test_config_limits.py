"""Options of hostile size: one line that names the limit, and no time or memory taken."""

import math
import re

import pytest

from persamhq_video.config import load_config, make_config
from persamhq_video.errors import ConfigError

HUGE = 10**5000

REFUSED = {
    "math threads": ({"threads_per_worker": "1000000"}, "got '1000000'; input should be less than or equal to 256"),
    "workers": ({"workers": 100_000}, "got 100000; input should be less than or equal to 1024"),
    "digits": ({"workers": "9" * 5000}, "exceeded maximum size"),
    "a number beyond text": ({"workers": HUGE}, "too long to be shown; input should be less than or equal to 1024"),
    "frames at once": ({"encode_batch": "2"}, "input should be less than or equal to 1"),
    "stride": ({"stride": 2**31}, "less than or equal to 2147483647"),
    "start": ({"start": str(2**63)}, "less than or equal to 2147483647"),
    "end": ({"end": 2**31}, "less than or equal to 2147483647"),
    "memory": ({"feature_budget": "2EB"}, "less than or equal to 1125899906842624"),
    "infinite memory": ({"feature_budget": "inf"}, "could not parse value and unit"),
    "no time": ({"call_timeout": math.nan}, "greater than 0"),
    "GPUs": ({"gpus_per_worker": "1e9"}, "less than or equal to 64"),
    "a long name": ({"model": "x" * 100_000}, "input should be 'lite'"),
    "a deep value": ({"model": [[[[[[[]]]]]]]}, "got [[[[...]]]]"),
    "a zero byte": ({"checkpoint": "a\0b"}, "a path holds no zero byte"),
    "an option of a strategy": ({"prompts": "a:b=" + "9" * 5000}, "a number has 5,000 characters"),
    "a deep option of a strategy": ({"refine": ["a:b=" + "[" * 100_000]}, "nested more than 64 levels"),
    "a long key": ({"x" * 200_000: 1}, "known: address"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_a_line_of_moderate_length(case):
    options, message = REFUSED[case]
    with pytest.raises(ConfigError, match=re.escape(message)) as error:
        make_config(options)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


def test_what_is_allowed():
    config = make_config({"encode_batch": "1", "threads_per_worker": 256, "workers": "1024", "call_timeout": 86_400})
    assert (config.encode_batch, config.threads_per_worker, config.workers) == (1, 256, 1024)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("#" * 300_000, "larger than 262,144 bytes"),
        ("a: &a [*a]", "is not YAML: the alias *a"),
        ("workers: " + "9" * 5000, "a number has 5,000 characters"),
        ("prompts: " + "[" * 200_000, "levels deep"),
    ],
)
def test_files(content, message, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_config(path, {})
