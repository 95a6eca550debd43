import pytest
import yaml
from stand_ins.training import sam_content

from persamhq_video.cli import main


@pytest.fixture
def asked(monkeypatch):
    """What Ray would be asked to do."""
    found = []

    def stand_in(work, cluster, *, storage, report):
        found.append((work, cluster, storage))
        report("step 20")

    monkeypatch.setattr("persamhq_video.executors.workers.ray_training.train_on_ray", stand_in)
    return found


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(sam_content(threads=3)))
    return path


@pytest.mark.parametrize(
    ("more", "made", "out"),
    [
        ([], (2, 3, 0), "runs/mine"),
        (["--workers", "4", "--gpus-per-worker", "1", "--out", "there"], (4, 3, 1), "there"),
    ],
)
def test_workers_are_started_as_asked(asked, config, more, made, out):
    assert main(["train", str(config), *more]) == 0
    ((work, cluster, storage),) = asked
    assert (cluster.workers, cluster.threads, cluster.gpus_per_worker) == made
    assert str(storage) == f"{out}/ray"
    assert work.args[0].seed == 3
    assert str(work.args[1]) == out


@pytest.mark.usefixtures("asked")
def test_what_workers_report_is_printed(config, capsys):
    main(["train", str(config)])
    assert capsys.readouterr().out == "step 20\n"


@pytest.mark.parametrize(
    ("batch", "workers", "message"),
    [
        (2, "0", "option workers: got 0; expected 1 to 1024"),
        (2, "100000", "option workers: got 100000; expected 1 to 1024"),
        (0, "2", "batch: Input should be greater than 0"),
    ],
)
@pytest.mark.usefixtures("asked")
def test_what_makes_no_sense(config, capsys, batch, workers, message):
    config.write_text(yaml.safe_dump(sam_content(batch=batch)))
    assert main(["train", str(config), "--workers", workers]) == 2
    assert message in capsys.readouterr().err


def test_lite_has_one_worker(asked, monkeypatch, capsys):
    class Lite:
        model = "lite"

    monkeypatch.setattr("persam_hq.training.config.load.load_train_config", lambda _: Lite())
    assert main(["train", "lite.yaml"]) == 2
    assert "lite.yaml trains lite, which one worker does: persam-hq train lite.yaml" in capsys.readouterr().err
    assert asked == []
