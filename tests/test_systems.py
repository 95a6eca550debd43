"""Systems without Unix's modules and calls, such as Windows: both packages are imported, an inline run goes through."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("persam_hq", "persamhq_video", "plugins/persamhq_plugins")
UNIX_MODULES = frozenset({"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"})
UNIX_CALLS = frozenset(
    {"chown", "fchmod", "fork", "getegid", "geteuid", "getgid", "getuid", "killpg", "mkfifo", "nice"}
    | {"getloadavg", "sched_getaffinity", "setsid", "statvfs", "sysconf", "sysconf_names", "uname"}
)
UNIX_SIGNALS = frozenset({"SIGALRM", "SIGHUP", "SIGKILL", "SIGSTOP", "SIGUSR1", "SIGUSR2", "pthread_sigmask", "alarm"})


def guarded_lines(tree):
    """Lines in a `try`, an `if` or a conditional expression, which may ask for what a system has."""
    kinds = (ast.Try, ast.If, ast.IfExp)
    return {line for n in ast.walk(tree) if isinstance(n, kinds) for line in range(n.lineno, n.end_lineno + 1)}


def unguarded(text):
    """What a module takes from Unix alone without a guard, as lines."""
    tree = ast.parse(text)
    guarded = guarded_lines(tree)
    for node in ast.walk(tree):
        names = set()
        if isinstance(node, ast.Import):
            names = {alias.name for alias in node.names} & UNIX_MODULES
        elif isinstance(node, ast.ImportFrom):
            names = {node.module} & UNIX_MODULES
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names = {node.attr} & {"os": UNIX_CALLS, "signal": UNIX_SIGNALS}.get(node.value.id, frozenset())
        if names and node.lineno not in guarded:
            yield node.lineno, names.pop()


@pytest.mark.parametrize("package", PACKAGES)
def test_what_only_unix_has_is_guarded(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    found = {str(path.relative_to(ROOT)): list(unguarded(path.read_text(encoding="utf-8"))) for path in files}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize("text", ["import resource", "from fcntl import flock", "os.sysconf('x')", "signal.SIGKILL"])
def test_the_check_finds_what_it_looks_for(text):
    assert list(unguarded(text))
    assert not list(unguarded(f"try:\n    {text}\nexcept ImportError:\n    pass"))


WITHOUT_UNIX = """
import os, signal, sys

# Libraries of others have Windows' ways of their own, which this system does not take: they come first
import av, cv2, decord, numpy, PIL.Image, pluggy, pydantic, ray, torch, torch.nn.functional, torch.utils.data, yaml
from concurrent.futures import process
import tempfile, subprocess, shutil, asyncio

class NotHere:
    def find_spec(self, name, path=None, target=None):
        if name in {modules}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

for name in {modules}:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, NotHere())
for module, names in ((os, {calls}), (signal, {signals})):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)

import importlib, pkgutil
import persam_hq, persamhq_video, persamhq_plugins
for package in (persam_hq, persamhq_video, persamhq_plugins):
    for found in pkgutil.walk_packages(package.__path__, f"{{package.__name__}}."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)

from persamhq_video.cli import main
code = main(["doctor"])
assert code == 0, code
sys.exit(main(["run", *sys.argv[1:]]))
"""


@pytest.mark.slow
def test_an_inline_run_without_unix(tmp_path, make_clip, make_mask):
    clip, mask, out = make_clip(tmp_path), make_mask(tmp_path), tmp_path / "out"
    # The standard library has other ways than these two on Windows, but not here
    script = WITHOUT_UNIX.format(
        modules=sorted(UNIX_MODULES - {"posix"}), calls=sorted(UNIX_CALLS - {"statvfs"}), signals=sorted(UNIX_SIGNALS)
    )
    command = [sys.executable, "-c", script, str(clip), "--mask", str(mask), "--out", str(out), "--executor", "inline"]
    done = subprocess.run([*command, "--quiet"], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "memory                       not told by this system" in done.stdout
    assert len(list((out / "masks").glob("*.png"))) == 3
    assert '"status": "complete"' in (out / "run.json").read_text()
    assert '"driver": null' in (out / "run.json").read_text()


@pytest.fixture
def make_mask():
    """Of a square that moves over noise."""
    np, image = pytest.importorskip("numpy"), pytest.importorskip("PIL.Image")

    def make(folder):
        labels = np.zeros((96, 160), np.uint8)
        labels[30:62, 20:52] = 1
        image.fromarray(labels).save(folder / "mask.png")
        return folder / "mask.png"

    return make


@pytest.fixture
def make_clip():
    np, image = pytest.importorskip("numpy"), pytest.importorskip("PIL.Image")

    def make(folder):
        frames = folder / "frames"
        frames.mkdir()
        ground = np.random.default_rng(0).integers(60, 120, (96, 160, 3), dtype=np.uint8)
        for index in range(3):
            frame = ground.copy()
            frame[30:62, 20 + index : 52 + index] = (230, 40, 40)
            image.fromarray(frame).save(frames / f"{index}.png")
        return frames

    return make
