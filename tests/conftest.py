"""The spread of tests over processes (pytest-xdist, `--dist loadgroup`)."""

import pytest

# Both put two images through ViT-B, a minute and a half of one core, and keep what they get for the whole process
SHARED = {
    "tests/persam_hq/test_parity.py": "golden",
    "tests/persam_hq/checkpoint/test_every_layout.py": "golden",
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Keep the tests of a file in one process, as its fixtures are costly, and files that share a cache as well.

    Files with slow tests come first, so that no process is left alone with a long one at the end.
    """
    for item in items:
        item.add_marker(pytest.mark.xdist_group(SHARED.get(_file(item), _file(item))))
    slow = {_file(item) for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: _file(item) not in slow)


def _file(item):
    return item.nodeid.split("::")[0]
