import json

import pytest

from persamhq_video.errors import ConfigError
from persamhq_video.output.journal import Journal
from persamhq_video.output.run_directory import RunDirectory, WantedFiles

IDENTITY = {"config": {"model": "lite", "workers": 1}, "fingerprint": {"dtype": "float32"}, "inputs": {}, "plugins": []}
SCHEMA = "states 1"


def decide(path, identity=IDENTITY, *, overwrite=False, no_resume=False):
    return RunDirectory(path).decide(identity, schema=SCHEMA, overwrite=overwrite, no_resume=no_resume)


def finished(path, status="complete"):
    directory = RunDirectory(path)
    directory.open()
    for name in ("masks/00000.png", "mattes/1.mp4", "scores.csv"):
        directory.claim(name).write_text(name)
    directory.claim("overlay.mp4")
    directory.write_record({"status": status, **IDENTITY}, final=True)
    return directory


def names(path):
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file() and file.name != "lock")


def test_a_new_folder(tmp_path):
    assert decide(tmp_path / "out") == "run"
    assert not (tmp_path / "out").exists()


def test_the_record_lists_the_files_that_are_there(tmp_path):
    finished(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["files"] == ["masks/00000.png", "mattes/1.mp4", "scores.csv"]
    assert names(tmp_path) == ["masks/00000.png", "mattes/1.mp4", "run.json", "scores.csv"]


def test_the_same_run_is_done(tmp_path):
    finished(tmp_path)
    more_workers = {**IDENTITY, "config": {"model": "lite", "workers": 8}}
    assert decide(tmp_path) == decide(tmp_path, more_workers) == "done"


def test_overwrite_runs_again(tmp_path):
    finished(tmp_path)
    assert decide(tmp_path, overwrite=True) == "run"


@pytest.mark.parametrize(
    ("identity", "message"),
    [
        ({**IDENTITY, "config": {"model": "vit_b", "workers": 1}}, r"another run \(different: config.model\)"),
        ({**IDENTITY, "inputs": {"mask": "x"}, "plugins": [1]}, r"different: inputs.mask, plugins"),
    ],
)
def test_another_run_is_refused(tmp_path, identity, message):
    finished(tmp_path)
    with pytest.raises(ConfigError, match=message):
        decide(tmp_path, identity)


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_an_unfinished_run_is_refused(tmp_path, status):
    finished(tmp_path, status)
    with pytest.raises(ConfigError, match=rf"not complete \(status: {status}\); use --overwrite"):
        decide(tmp_path)


def test_a_killed_run_is_refused_and_then_removed(tmp_path):
    killed = RunDirectory(tmp_path)
    killed.open()
    killed.claim("masks/00000.png").write_text("old")
    (killed.claim("overlay.mp4").parent / ".overlay.mp4.part").write_text("half")
    killed.close()
    with pytest.raises(ConfigError, match="status: killed"):
        decide(tmp_path)
    assert decide(tmp_path, overwrite=True) == "run"
    RunDirectory(tmp_path).open()
    assert names(tmp_path) == [".persamhq/files"]


def test_announced_files_of_somebody_else(tmp_path):
    (tmp_path / "boxes").mkdir()
    (tmp_path / "boxes" / "1.json").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match=r"boxes/1.json is there and no run wrote it"):
            RunDirectory(tmp_path).decide(
                IDENTITY, schema=SCHEMA, overwrite=overwrite, no_resume=False, wanted=WantedFiles(("boxes/1.json",))
            )
    assert decide(tmp_path) == "run"


def test_files_of_sinks_go_with_their_folders(tmp_path):
    directory = RunDirectory(tmp_path)
    directory.open()
    for name in ("a.json", "deep/er/b.json", "full/c.json"):
        directory.claim(name).write_text(name)
    directory.write_record({"status": "complete", **IDENTITY}, final=True)
    (tmp_path / "full" / "notes.txt").write_text("mine")
    assert decide(tmp_path, overwrite=True) == "run"
    RunDirectory(tmp_path).open()
    assert names(tmp_path) == [".persamhq/files", "full/notes.txt"]
    assert not (tmp_path / "deep").exists()


def test_no_resume_does_not_take_it_as_done(tmp_path):
    finished(tmp_path)
    with pytest.raises(ConfigError, match="no_resume is set"):
        decide(tmp_path, no_resume=True)


def test_overwriting_leaves_what_is_not_the_runs(tmp_path):
    finished(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    RunDirectory(tmp_path).open()
    assert names(tmp_path) == [".persamhq/files", "notes.txt"]
    assert not (tmp_path / "masks").exists()


@pytest.mark.parametrize("name", ["scores.csv", "masks/mine.png"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_files_of_somebody_else_are_refused(tmp_path, name, overwrite):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(ConfigError, match="no run wrote it"):
        decide(tmp_path, overwrite=overwrite)


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_record_that_is_none(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ConfigError, match="use another --out"):
        decide(tmp_path)


def test_a_record_cannot_point_outside(tmp_path):
    precious = tmp_path / "precious.txt"
    precious.write_text("x")
    out = tmp_path / "out"
    out.mkdir()
    (out / "run.json").write_text(json.dumps({"status": "failed", "files": ["../precious.txt", str(precious)]}))
    RunDirectory(out).open()
    assert precious.exists()


def test_places_that_cannot_be(tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(ConfigError, match="is a file; give a folder"):
        RunDirectory(file).check_place()
    with pytest.raises(ConfigError, match=r"cannot be made: .*file is a file; give another folder"):
        RunDirectory(file / "deep" / "out").check_place()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "gone")
    with pytest.raises(ConfigError, match=r"cannot be made: .*link is a link to nothing; give another folder"):
        RunDirectory(link).check_place()
    RunDirectory(tmp_path / "new" / "deep").check_place()


def test_a_run_of_before_there_were_journals_is_told_and_can_be_overwritten(tmp_path):
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "00000.png").write_text("old")
    (tmp_path / ".persamhq-files").write_text("masks/00000.png\n")
    with pytest.raises(ConfigError, match=r"not complete \(status: killed\); use --overwrite"):
        decide(tmp_path)
    assert decide(tmp_path, overwrite=True) == "run"
    RunDirectory(tmp_path).open()
    assert names(tmp_path) == [".persamhq/files"]


def unfinished(path, schema=SCHEMA):
    directory = RunDirectory(path)
    directory.open()
    journal = Journal(directory.journal_path)
    journal.open(IDENTITY, schema=schema)
    journal.close()
    for name in ("masks/00000.png", "mattes/1.mp4", "scores.csv"):
        directory.claim(name).write_text(name)
    directory.write_record({"status": "interrupted", **IDENTITY}, final=True)


@pytest.mark.parametrize("status", ["complete", "failed", "running", None])
def test_while_there_is_a_journal_a_run_is_unfinished(tmp_path, status):
    unfinished(tmp_path)
    record = tmp_path / "run.json"
    record.unlink() if status is None else record.write_text(json.dumps({"status": status, **IDENTITY}))
    assert decide(tmp_path) == "resume"
    with pytest.raises(ConfigError, match="holds this run already, and no_resume is set"):
        decide(tmp_path, no_resume=True)
    assert decide(tmp_path, overwrite=True) == "run"


def test_a_run_whose_states_this_version_cannot_read_starts_again(tmp_path):
    unfinished(tmp_path, "states 0")
    assert decide(tmp_path) == "restart"
    with pytest.raises(ConfigError, match=r"another run \(different: config.model\)"):
        decide(tmp_path, {**IDENTITY, "config": {"model": "vit_b", "workers": 1}})
    with pytest.raises(ConfigError, match="no_resume is set"):
        decide(tmp_path, no_resume=True)
    directory = RunDirectory(tmp_path)
    directory.decide(IDENTITY, schema=SCHEMA, overwrite=False, no_resume=False)
    directory.open()
    assert names(tmp_path) == [".persamhq/files"]


def test_a_resumed_run_keeps_label_maps_and_drops_what_looks_complete(tmp_path):
    unfinished(tmp_path)
    directory = RunDirectory(tmp_path)
    assert directory.decide(IDENTITY, schema=SCHEMA, overwrite=False, no_resume=False) == "resume"
    directory.open()
    assert names(tmp_path) == [".persamhq/files", ".persamhq/ledger.jsonl", "masks/00000.png", "run.json"]
    assert directory.owns("masks/00000.png")
    assert not directory.owns("masks/00001.png")
    directory.write_record({"status": "interrupted", **IDENTITY}, final=True)
    assert decide(tmp_path) == "resume"
    directory.write_record({"status": "complete", **IDENTITY}, final=True)
    assert names(tmp_path) == ["masks/00000.png", "run.json"]
    assert decide(tmp_path) == "done"


def test_what_a_kill_left_of_the_clean_up_is_removed(tmp_path):
    finished(tmp_path)
    (tmp_path / ".persamhq" / "segments").mkdir(parents=True)
    assert decide(tmp_path) == "done"
    assert not (tmp_path / ".persamhq").exists()


def test_a_hidden_folder_that_leads_elsewhere_is_not_followed(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("x")
    out = tmp_path / "out"
    out.mkdir()
    (out / ".persamhq").symlink_to(elsewhere)
    with pytest.raises(ConfigError, match=r"\.persamhq is a link, and a run writes to no other place"):
        RunDirectory(out).open()
    assert names(elsewhere) == ["precious"]


@pytest.mark.parametrize("frame", ["two\nlines", "\n", "back\\nslash", "b\udce4r"])
def test_names_of_any_letters_are_claimed(tmp_path, frame):
    """A killed run's files are told from a user's, whatever the frames of a folder are called."""
    killed = RunDirectory(tmp_path)
    killed.open()
    killed.claim(f"masks/{frame}.png").write_text("old")
    killed.claim("masks/z.png").write_text("old")
    killed.close()
    assert RunDirectory(tmp_path)._claims_file.read() == {f"masks/{frame}.png", "masks/z.png"}
    again = RunDirectory(tmp_path)
    assert again.decide(IDENTITY, schema=SCHEMA, overwrite=True, no_resume=False) == "run"
    again.open()
    assert not list(tmp_path.glob("masks/*"))
