"""Lists of videos as spreadsheets and scripts write them."""

from __future__ import annotations

import json
import re

import pytest

from persamhq_video.config import PER_VIDEO_OPTIONS, RunConfig, make_config
from persamhq_video.errors import ConfigError
from persamhq_video.job.manifest import read_manifest


@pytest.fixture
def read(tmp_path):
    def read(content, name="jobs.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_manifest(path)

    return read


def told(rows, folder):
    """What the rows say, with paths as the manifest has them."""
    return [
        (
            str(row.video.relative_to(folder)),
            None if row.mask is None else row.mask.removeprefix(f"{folder}/"),
            None if row.out is None else str(row.out.relative_to(folder)),
            dict(row.options),
        )
        for row in rows
    ]


def test_home_is_known_in_paths(read, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/where/i/live")
    (row,) = read("video,mask,out\n~/a.mp4,~/a.png,~/out/a\n")
    assert (str(row.video), row.mask, str(row.out)) == (
        "/where/i/live/a.mp4",
        "/where/i/live/a.png",
        "/where/i/live/out/a",
    )


A = ("a.mp4", "a.png", "out/a", {})
B = ("b.mp4", "b.png", "out/b", {})


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("video,mask,out\na.mp4,a.png,out/a\nb.mp4,b.png,out/b\n", [A, B]),
        ("\ufeffvideo,mask,out\r\na.mp4,a.png,out/a\r\n", [A]),
        ("video,mask,out\ra.mp4,a.png,out/a\rb.mp4,b.png,out/b", [A, B]),
        ("video;mask;out\na.mp4;a.png;out/a\n", [A]),
        ("video\tmask\tout\na.mp4\ta.png\tout/a\n", [A]),
        (" Video , MASK,out \n a.mp4 ,a.png  , out/a\t\n", [A]),
        ("\n,,\nvideo,mask,out\n\n  \n,,\na.mp4,a.png,out/a\n,,\n\n", [A]),
        ("video,mask,out,,\na.mp4,a.png,out/a,,\n", [A]),
        ("out,video,mask\nout/a,a.mp4,a.png\n", [A]),
        ("video\na.mp4\n", [("a.mp4", None, None, {})]),
        ("video,mask,out\na.mp4\n", [("a.mp4", None, None, {})]),
        ('video,mask\n"take 1, wide.mp4","say ""a"".png"\n', [("take 1, wide.mp4", 'say "a".png', None, {})]),
        ("video,mask\na.mp4,{stem}.png\n", [("a.mp4", "{stem}.png", None, {})]),
        ("video,start,end,stride\na.mp4,3,,2\n", [("a.mp4", None, None, {"start": 3, "stride": 2})]),
        (
            'video,outputs,reader,matte_codec\na.mp4,"masks, scores",decord,ffv1\nb.mp4,,,\n',
            [
                ("a.mp4", None, None, {"outputs": ("masks", "scores"), "reader": "decord", "matte_codec": "ffv1"}),
                ("b.mp4", None, None, {}),
            ],
        ),
    ],
)
def test_tables(read, tmp_path, content, rows):
    assert told(read(content), tmp_path) == rows


def test_inputs_that_are_no_paths(tmp_path):
    path = tmp_path / "jobs.csv"
    path.write_text("video,source\nrtsp://host/yard,\na.mp4,\nanything,mine\nthere,mine\n")
    (tmp_path / "there").touch()
    rows = read_manifest(path, takes_text=lambda source, text: source == "mine" or "://" in text)
    assert [row.video for row in rows] == ["rtsp://host/yard", tmp_path / "a.mp4", "anything", tmp_path / "there"]
    assert [row.options for row in rows[2:]] == [{"source": "mine"}] * 2


@pytest.mark.parametrize(
    ("lines", "rows"),
    [
        ([{"video": "a.mp4", "mask": "a.png", "out": "out/a"}], [A]),
        ([{"video": "a.mp4", "start": 3, "end": None}], [("a.mp4", None, None, {"start": 3})]),
        ([{"video": "a.mp4", "options": {"start": 3}}], [("a.mp4", None, None, {"start": 3})]),
        (
            [{"video": "a.mp4", "stride": 2, "options": {"start": 3}}],
            [("a.mp4", None, None, {"stride": 2, "start": 3})],
        ),
        ([{"video": "a.mp4", "mask": "", "options": None}], [("a.mp4", None, None, {})]),
        ([{"video": "a.mp4", "outputs": ["masks"]}], [("a.mp4", None, None, {"outputs": ("masks",)})]),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\n\n"])
def test_objects(read, tmp_path, lines, rows, newline):
    content = "\ufeff" + newline.join(map(json.dumps, lines)) + newline
    assert told(read(content, "jobs.jsonl"), tmp_path) == rows


def test_absolute_paths_stay(read, tmp_path):
    (row,) = read("video,mask,out\n/v/a.mp4,/m/a.png,/o/a\n")
    assert (str(row.video), row.mask, str(row.out)) == ("/v/a.mp4", "/m/a.png", "/o/a")


def test_a_row_knows_its_line(read, tmp_path):
    rows = read('video,mask\n\n"a.mp4","a\n.png"\nb.mp4,b.png\n')
    assert [row.where for row in rows] == [f"{tmp_path}/jobs.csv, line {number}" for number in (3, 5)]


WRONG_TABLES = {
    "nothing": ("", r"jobs\.csv: no video in it"),
    "a header alone": ("video,mask\n", r"jobs\.csv: no video in it"),
    "no column video": ("mask,out\na.png,a\n", r"line 1: no column video"),
    "no header": ("a.mp4,a.png\n", r"line 1: unknown column 'a\.mp4'; known: video, mask, out, start"),
    "unknown column": ("video,colour\na.mp4,red\n", r"line 1: unknown column 'colour'"),
    "an option of the job": ("video,model\na.mp4,vit_b\n", r"unknown column 'model'; .*\(other options are the whole"),
    "two columns of one name": ("video,mask,mask\na,b,c\n", r"line 1: two columns are named mask"),
    "no video": ("video,mask\na.mp4,a.png\n,b.png\n", r"line 3: no video; fill in"),
    "too many cells": ("video,mask\ntake 1, wide.mp4,a.png\n", r"line 2: 3 cells, but 2 columns; quote commas"),
    "a cell below no name": ("video,,\na.mp4,hello,\n", r"line 2: got 'hello' in a column without a name"),
    "an open quote": ('video,mask\n"a.mp4,a.png\n', r"line 2: not CSV"),
    "no number": ("video,start\na.mp4,first\n", r"line 2: option start: got 'first'; input should be a valid integer"),
    "a negative number": ("video,start\na.mp4,-1\n", r"line 2: option start: got '-1'"),
    "no frame between": ("video,start,end\na.mp4,9,5\n", r"line 2: got start 9 and end 5"),
    "not UTF-8": ("video,mask\nzoë.mp4,a.png\n".encode("latin-1"), r"jobs\.csv is not UTF-8 text; save it as"),
    "UTF-16": ("video\n".encode("utf-16"), r"is not UTF-8 text"),
}

WRONG_OBJECTS = {
    "nothing": ("\n\n", r"jobs\.jsonl: no video in it"),
    "not JSON": ('{"video": "a.mp4"}\n{"video": \n', r"line 2: not JSON"),
    "a list": ('["a.mp4"]\n', r"line 1: got a list; expected an object"),
    "no video": ('{"mask": "a.png"}\n', r"line 1: no video"),
    "a number as path": ('{"video": 7}\n', r"line 1: got 7 as video; expected a path"),
    "unknown key": ('{"video": "a", "colour": 1}\n', r"line 1: unknown key 'colour'"),
    "unknown option": ('{"video": "a", "options": {"model": "lite"}}\n', r"line 1: unknown key 'model'"),
    "options of another kind": ('{"video": "a", "options": ["start"]}\n', r"line 1: got \['start'\] as options"),
    "an option twice": ('{"video": "a", "start": 1, "options": {"start": 2}}\n', r"line 1: start does not belong"),
    "a path among options": ('{"video": "a", "options": {"mask": "m"}}\n', r"line 1: mask does not belong in options"),
    "true as a number": ('{"video": "a", "start": true}\n', r"line 1: option start: got True"),
    "half a frame": ('{"video": "a", "start": 1.5}\n', r"line 1: option start: got 1\.5"),
    "no output": ('{"video": "a", "outputs": 3}\n', r"line 1: option outputs: got 3"),
}


@pytest.mark.parametrize("case", WRONG_TABLES)
def test_wrong_tables_are_one_line(read, case):
    content, message = WRONG_TABLES[case]
    with pytest.raises(ConfigError, match=message) as caught:
        read(content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", WRONG_OBJECTS)
def test_wrong_objects_are_one_line(read, case):
    content, message = WRONG_OBJECTS[case]
    with pytest.raises(ConfigError, match=message) as caught:
        read(content, "jobs.jsonl")
    assert "\n" not in str(caught.value)


def test_a_missing_manifest(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read .*none\.csv: No such file"):
        read_manifest(tmp_path / "none.csv")


def test_options_of_a_video_go_over_those_of_the_job():
    assert set(PER_VIDEO_OPTIONS) <= set(RunConfig.model_fields)
    job = make_config({"stride": 4, "refine": ["cascade"], "feature_budget": "1GB", "checkpoint": "a.pth"})
    own = job.for_video({"start": 3, "outputs": ("masks",)})
    assert (own.start, own.stride, own.outputs) == (3, 4, ("masks",))
    assert own.model_copy(update={"start": 0, "outputs": job.outputs}) == job
    assert job.for_video({}) is job


HOSTILE = {
    "nested brackets": (
        "jobs.jsonl",
        '{"video": ' + "[" * 100_000,
        "line 1: not JSON (brackets are nested too deeply)",
    ),
    "a deep value": ("jobs.jsonl", '{"video": ' + "[" * 50 + "]" * 50 + "}", "got [[[[...]]]] as video"),
    "digits": ("jobs.jsonl", '{"video": "a", "start": ' + "9" * 5000 + "}", "line 1: not JSON (Exceeds the limit"),
    "a number beyond the limit": ("jobs.csv", "video,start\na," + "9" * 40, "less than or equal to 2147483647"),
    "a long name": ("jobs.jsonl", '{"video": "' + "x" * 300 + '"}', "at most 255 bytes"),
    "a long name of few characters": ("jobs.csv", "video,mask\na," + "é" * 200, "at most 255 bytes"),
    "a zero byte": ("jobs.jsonl", r'{"video": "a\u0000b"}', "names have no zero byte"),
    "a long key": ("jobs.csv", "v" * 100_000 + ",video\na,b", "unknown column 'vvv"),
    "half a character": ("jobs.jsonl", r'{"video": "\ud800", "start": -1}', "option start: got -1"),
    "cells": ("jobs.csv", "video,mask\n" + "a," * 100_000, "100001 cells, but 2 columns"),
    "a cell": ("jobs.csv", "video\n" + "a" * 200_000, "line 2: not CSV (field larger"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_lists_are_one_line(read, case):
    name, content, message = HOSTILE[case]
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        read(content, name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_list_without_an_end(read, monkeypatch):
    monkeypatch.setattr("persamhq_video.job.manifest.MAX_LIST_BYTES", 100)
    with pytest.raises(ConfigError, match="larger than 100 bytes, the most that is read of such a file; split it"):
        read("video\n" + "a.mp4\n" * 100)
