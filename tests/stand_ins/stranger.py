"""An environment as somebody else has it: this project is installed, and packages of theirs can be."""

import os
import shlex
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

_COMMANDS = {"persamhq-video": "persamhq_video.cli", "pytest": "pytest"}


class Stranger:
    """Runs commands in an environment on top of the one that the tests run in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        venv.create(folder, with_pip=True, symlinks=True)
        (site,) = folder.glob("lib/python*/site-packages")
        below = sysconfig.get_paths()["purelib"]
        (site / "below.pth").write_text(f"import site; site.addsitedir({below!r})\n")
        for command, module in _COMMANDS.items():
            script = self.bin / command
            script.write_text(f"#!{self.bin / 'python'}\nimport sys\nfrom {module} import main\nsys.exit(main())\n")
            script.chmod(0o755)

    def run(self, script: str, *, cwd: Path) -> subprocess.CompletedProcess:
        """Run lines of bash; the first one that fails ends them."""
        environment = {
            **os.environ,
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "VIRTUAL_ENV": str(self.folder),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            # What builds a package is there; it need not be fetched again
            "PIP_NO_BUILD_ISOLATION": "0",
        }
        command = ["bash", "-euo", "pipefail", "-c", script]
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)

    def expect(self, script: str, *, cwd: Path) -> str:
        """What lines of bash print; they have to succeed."""
        done = self.run(script, cwd=cwd)
        assert done.returncode == 0, f"{shlex.quote(script)}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr
