"""The house stays easy to find one's way in: few modules at the roots, no crowded folder."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("persam_hq", "persamhq_video", "plugins/persamhq_plugins")
NOT_COUNTED = {"__init__.py", "__main__.py"}


def modules(folder):
    return [path.name for path in folder.glob("*.py") if path.name not in NOT_COUNTED]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_root_has_at_most_eight_modules(package):
    assert len(modules(ROOT / package)) <= 8


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folder_has_more_than_fifteen_modules(package):
    folders = [path for path in (ROOT / package).rglob("*") if path.is_dir()]
    crowded = {str(folder): len(modules(folder)) for folder in folders if len(modules(folder)) > 15}
    assert not crowded
