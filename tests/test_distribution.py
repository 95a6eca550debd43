"""The contents of the wheel and the sdist: packages, weights, configurations and the texts of the licences."""

import email
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LICENCE_FILES = ["LICENSE", "NOTICE", "persam_hq/weights/LICENSE"]


def build(target, folder):
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = folder.iterdir()
    return file


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    with zipfile.ZipFile(build("wheel", tmp_path_factory.mktemp("wheel"))) as archive:
        yield archive


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    wheel.extractall(folder)
    return folder


def info(wheel):
    """The folder of the wheel's metadata."""
    (folder,) = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    return folder


def test_the_metadata_name_both_licences_and_their_texts(wheel):
    metadata = email.message_from_bytes(wheel.read(f"{info(wheel)}/METADATA"))
    assert metadata["License-Expression"] == "Apache-2.0 AND CC-BY-NC-4.0"
    assert metadata.get_all("License-File") == LICENCE_FILES
    assert metadata["Author"] == "The PerSAM-HQ video authors"
    assert "Operating System :: POSIX" in metadata.get_all("Classifier")


@pytest.mark.parametrize("name", LICENCE_FILES)
def test_the_texts_are_those_of_the_repository(wheel, name):
    assert wheel.read(f"{info(wheel)}/licenses/{name}") == (ROOT / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("LICENSE", "Apache License", "limitations under the License."),
        (
            "persam_hq/weights/LICENSE",
            "Attribution-NonCommercial 4.0 International",
            "Creative Commons may be contacted at creativecommons.org.",
        ),
    ],
)
def test_the_texts_are_whole(name, first, last):
    lines = (ROOT / name).read_text(encoding="utf-8").split("\n")
    text = [line.strip() for line in lines if line.strip()]
    assert (text[0], text[-1]) == (first, last)
    assert len(text) > 150


def test_the_notice_names_what_is_built_upon():
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    for name in ("(SAM)", "SAM-HQ", "PerSAM", "MobileSAM", "Big Buck Bunny"):
        assert name in notice


@pytest.mark.parametrize("package", ["persam_hq", "persamhq_video", "plugins/persamhq_plugins"])
def test_every_file_of_the_packages_is_in_the_wheel(wheel, package):
    folder = ROOT / package
    files = {path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    wanted = {str(path.relative_to(folder.parent)) for path in files}
    assert f"{folder.name}/py.typed" in wanted
    assert wanted <= set(wheel.namelist())


def test_the_weights_come_with_their_card_and_licence(wheel):
    names = {name for name in wheel.namelist() if name.startswith("persam_hq/weights/")}
    assert names == {f"persam_hq/weights/{name}" for name in ("README.md", "LICENSE", "lite.safetensors")}


def test_nothing_else_is_in_the_wheel(wheel):
    names = wheel.namelist()
    assert {name.split("/")[0] for name in names} == {"persam_hq", "persamhq_video", "persamhq_plugins", info(wheel)}
    # The template of `plugins new` has a test that it writes for others.
    tests = [name for name in names if "test" in Path(name).name and "/plugin/template/" not in name]
    assert not tests
    assert not [name for name in names if name.endswith((".pyc", ".mp4", ".npz", ".jpg"))]
    # Configurations for training and clusters are edited by who uses them, in a clone.
    assert {name.rsplit("/", 1)[0] for name in names if "/configs/" in name} == {"persamhq_video/configs/run"}


def test_an_installed_wheel_finds_configurations_by_name(installed, tmp_path):
    code = (
        "from pathlib import Path\n"
        "import persamhq_video\n"
        "from persamhq_video.config import load_config\n"
        "print(Path(persamhq_video.__file__).parents[1])\n"
        "print(*[choice.name for choice in load_config(Path('steady'), {}).refine])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [str(installed), "drop_specks temporal_smooth"], done.stderr


def test_the_sdist_holds_what_a_wheel_is_built_from(tmp_path):
    with tarfile.open(build("sdist", tmp_path)) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    for wanted in [
        *LICENCE_FILES,
        "pyproject.toml",
        "README.md",
        "configs/run/steady.yaml",
        "tests/test_distribution.py",
    ]:
        assert wanted in names
    assert not [name for name in names if name.startswith((".venv", "demo-output", "runs", "site", "dist"))]
