"""`persamhq-video evaluate`: tables, predictions, pictures of the worst frames."""

import csv
import re

import pytest

from persamhq_video.cli import main

pytestmark = pytest.mark.usefixtures("stand_in")


def _row(table, sequence):
    return next(line for line in table.splitlines() if line.startswith(sequence)).split()[1:]


@pytest.mark.usefixtures("baselines")
class TestEvaluate:
    def test_tables_and_predictions(self, davis, out, capsys):
        assert main(["evaluate", "davis", str(davis), "--out", str(out), "--executor", "inline", "--quiet"]) == 0
        printed = capsys.readouterr().out
        every_measure, side_by_side, confidence = printed.split("\n\n")
        assert every_measure.split()[:2] == ["lite", "auto"]
        headings = ["J&F", "J", "J-Recall", "J-Decay", "F", "F-Recall", "F-Decay"]
        assert _row(every_measure, "sequence") == headings
        names = ["lite auto", "first mask copied", "similarity prior alone"]
        assert re.findall(r"\w+(?: \w+)+", side_by_side)[:3] == names
        assert confidence.startswith("confidence against J (first and last frame left out)\n")
        assert sorted(path.name for path in out.iterdir()) == [
            "confidence.csv",
            "first-mask-copied.csv",
            "lite-auto.csv",
            "predictions",
            "similarity-prior-alone.csv",
            "worst",
        ]
        assert sorted(path.name for path in (out / "worst").iterdir()) == ["camel.jpg", "goat.jpg"]
        assert len(list((out / "predictions" / "goat").iterdir())) == 5
        assert (out / "first-mask-copied.csv").read_text().splitlines()[-1].startswith("mean,4,6,1.000000")

        tracked = _row(printed, "goat")
        arguments = ["evaluate", "davis", str(davis), "--predictions", str(out / "predictions"), "--score-only"]
        assert main([*arguments, "--sequences", "goat"]) == 0
        again = capsys.readouterr().out
        assert "camel" not in again
        assert "confidence" not in again
        assert _row(again, "goat")[:2] == tracked[:2]

    def test_confidence(self, davis, out, capsys):
        assert main(["evaluate", "davis", str(davis), "--out", str(out), "--executor", "inline", "--quiet"]) == 0
        every_measure, _, confidence = capsys.readouterr().out.split("\n\n")
        with (out / "confidence.csv").open(newline="") as file:
            rows = {row["sequence"]: row for row in csv.DictReader(file)}
        assert list(rows) == ["camel", "goat", "mean"]
        for name, row in rows.items():
            # The stand-in is sure of everything, so its score is always the same.
            j = float(row["J"])
            assert 0 < j < 1
            assert _row(every_measure, name)[1] == f"{100 * j:.1f}"
            assert _row(confidence, name) == ["100.0", f"{100 * j:.1f}", f"{100 - 100 * j:+.1f}", "-", "0.0"]
            assert float(row["gap"]) == pytest.approx(1 - j, abs=2e-6)
            assert (row["score"], row["correlation"]) == ("1.000000", "")

    def test_pictures_of_what_was_written_earlier(self, davis, out, tmp_path):
        arguments = ["evaluate", "davis", str(davis), "--executor", "inline", "--quiet", "--predictions", str(out)]
        assert main(arguments) == 0
        assert not (out / "worst").exists()
        assert main([*arguments, "--score-only", "--out", str(tmp_path / "again")]) == 0
        assert len(list((tmp_path / "again" / "worst").glob("*.jpg"))) == 2
        assert not (tmp_path / "again" / "confidence.csv").exists()

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            (["--sequences", "llama"], "no annotated sequence 'llama'"),
            (["--score-only"], "say where they are with --predictions"),
            (["--model", "vit_b", "--prompts", "nobody"], "unknown prompt selector 'nobody'"),
            (["--start", "1"], "got start 1, but sequences are scored whole; leave it out"),
            (["--end", "3"], "got end 3, but sequences are scored whole; leave it out"),
            (["--stride", "2"], "got stride 2, but sequences are scored whole; leave it out"),
        ],
    )
    def test_refusals(self, davis, more, message, capsys):
        assert main(["evaluate", "davis", str(davis), *more]) == 2
        assert message in capsys.readouterr().err

    def test_no_such_root(self, tmp_path, capsys):
        assert main(["evaluate", "davis", str(tmp_path / "none")]) == 2
        assert "has no folder" in capsys.readouterr().err
