"""The scripts that score runs on a data set, with the stand-in tracker."""

import csv
import json
import runpy
from pathlib import Path
from typing import get_args

import pytest

from persam_hq.evaluation import DavisDataset, EvaluationError
from persamhq_video.cli import ablation, side_by_side
from persamhq_video.cli.dataset_options import ChosenSequences
from persamhq_video.config import PartName
from persamhq_video.errors import ConfigError

pytestmark = pytest.mark.usefixtures("stand_in", "baselines")

SCRIPTS = Path(__file__).parents[3] / "scripts"
METHODS = [
    "auto",
    "auto, HQ decoder",
    "independent",
    "PerSAM as published",
    "first mask copied",
    "optical flow",
    "GrabCut",
    "similarity prior alone",
]


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def table_of(printed):
    """Heading, and the rows by their first cell."""
    lines = [cells(line) for line in printed.splitlines() if line.startswith("| ")]
    return lines[0], {line[0]: line[1:] for line in lines[1:]}


class TestSideBySide:
    def test_one_table(self, davis, capsys):
        assert side_by_side.main([str(davis), "--executor", "inline", "--quiet"]) == 0
        printed = capsys.readouterr()
        heading, rows = table_of(printed.out)
        assert heading == ["sequence", *METHODS]
        assert list(rows) == ["camel", "goat", "**mean**"]
        assert rows["goat"][METHODS.index("first mask copied")] == "100.0 (100.0, 100.0)"
        assert rows["goat"][METHODS.index("similarity prior alone")] == "0.0 (0.0, 0.0)"
        assert printed.err == ""

    def test_sequences_that_were_trained_on_stand_apart(self, davis, out, capsys):
        more = ["--sequences", "goat", "--trained-on", "camel", "--out", str(out), "--executor", "inline", "--quiet"]
        assert side_by_side.main([str(davis), *more]) == 0
        printed = capsys.readouterr().out
        _, rows = table_of(printed)
        assert list(rows) == ["goat", "**mean**", "camel (trained on)", "**mean (trained on)**"]
        assert rows["goat"] == rows["**mean**"]
        assert printed.endswith((out / "side_by_side.md").read_text())
        for folder, names in ((out, ["goat", "mean"]), (out / "trained-on", ["camel", "mean"])):
            with (folder / "auto-HQ-decoder.csv").open(newline="") as file:
                assert [row["sequence"] for row in csv.DictReader(file)] == names
            assert len(list(folder.glob("*.csv"))) == len(METHODS)

    def test_nothing_but_events_where_events_are_asked_for(self, davis, capsys):
        assert side_by_side.main([str(davis), "--sequences", "goat", "--executor", "inline", "--json"]) == 0
        events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [event["event"] for event in events].count("complete") == 4

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            (["--sequences", "llama"], "no annotated sequence 'llama'"),
            (["--sequences", "goat", "--trained-on", "goat"], "goat is in --sequences and in --trained-on"),
            (["--prompts", "nobody"], "unknown prompt selector 'nobody'"),
        ],
    )
    def test_refusals_are_one_line(self, davis, more, message, capsys):
        assert side_by_side.main([str(davis), *more]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


class TestAblation:
    def test_the_built_in_list(self, davis, capsys):
        assert ablation.main([str(davis), "--sequences", "goat", "--executor", "inline", "--quiet"]) == 0
        heading, rows = table_of(capsys.readouterr().out)
        assert heading == ["variant", "J&F", "J", "F", "frames/s"]
        taken_away = ["no guidance", "mode independent", "decoder hq", "no drop_specks"]
        assert list(rows) == ["full", *taken_away, *(f"without {part}" for part in get_args(PartName))]

    def test_variants_of_ones_own(self, davis, capsys):
        tries = ["--try", "plain", "refine=[]", "--try", "two", "mode=independent", "refine=[cascade]"]
        assert ablation.main([str(davis), *tries, "--executor", "inline", "--quiet"]) == 0
        _, rows = table_of(capsys.readouterr().out)
        assert list(rows) == ["full", "plain", "two"]
        assert "(" not in "".join(rows["full"])
        assert all("(" in cell for cell in rows["plain"])

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            (["--try", "alone"], "got the variant 'alone'; expected NAME key=value"),
            (["--try", "typo", "strides=2"], "variant 'typo': unknown option 'strides'"),
            (["--try", "typo", "prompts=nobody"], "unknown prompt selector 'nobody'"),
            (["--sequences", ","], "got no sequence at all"),
        ],
    )
    def test_refusals_come_before_the_first_run(self, davis, more, message, capsys):
        assert ablation.main([str(davis), *more]) == 2
        printed = capsys.readouterr()
        assert message in printed.err
        assert printed.out == ""


class TestChosenSequences:
    @pytest.mark.parametrize(
        ("names", "trained_on", "unseen"),
        [
            (None, None, ["camel", "goat"]),
            (None, ["goat"], ["camel"]),
            (["goat"], ["camel"], ["goat"]),
            (["goat", "camel"], None, ["goat", "camel"]),
            ([], ["goat"], []),
        ],
    )
    def test_all_that_were_not_trained_on(self, davis, names, trained_on, unseen):
        chosen = ChosenSequences.choose(DavisDataset(davis), names, trained_on)
        assert [sequence.name for sequence in chosen.unseen] == unseen
        assert [sequence.name for sequence in chosen.all] == unseen + (trained_on or [])

    def test_none_and_both_and_unknown_are_refused(self, davis):
        dataset = DavisDataset(davis)
        with pytest.raises(ConfigError, match="got no sequence at all"):
            ChosenSequences.choose(dataset, [])
        with pytest.raises(ConfigError, match="camel is in --sequences and in --trained-on"):
            ChosenSequences.choose(dataset, ["goat", "camel"], ["camel"])
        with pytest.raises(EvaluationError, match="no annotated sequence 'llama'"):
            ChosenSequences.choose(dataset, None, ["llama"])


@pytest.mark.parametrize("name", ["side_by_side", "ablation"])
def test_the_scripts_are_these_commands(name):
    assert (
        runpy.run_path(str(SCRIPTS / name))["main"] is {"side_by_side": side_by_side, "ablation": ablation}[name].main
    )
