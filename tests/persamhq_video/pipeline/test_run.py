import hashlib
import json

import av
import numpy as np
import pytest
from PIL import Image
from stand_ins.tracker import GREEN, RED

from persamhq_video import personalize_video
from persamhq_video.config import make_config
from persamhq_video.errors import ConfigError, DecodeError, ExecutorError, InputError, OutputError
from persamhq_video.io import open_source, read_label_png
from persamhq_video.job.tasks import VideoTask
from persamhq_video.pipeline.run import run_tasks, run_video
from persamhq_video.pipeline.video_plan import plan_video

pytestmark = pytest.mark.usefixtures("stand_in")

INLINE = make_config({"executor": "inline"})


def record_of(out):
    return json.loads((out / "run.json").read_text())


def hashes(out):
    """Of everything but run.json and what an unfinished run keeps for itself."""
    files = sorted(file for file in out.rglob("*") if file.is_file() and file.name != "run.json")
    files = [file for file in files if ".persamhq" not in file.parts]
    return {str(file.relative_to(out)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_every_output(clip, mask, out):
    run_video(INLINE, clip, mask, out)
    masks = {f"masks/f{index:03d}.png" for index in range(12)}
    videos = {"masks.mkv", "mattes/1.mp4", "mattes/2.mp4", "overlay.mp4"}
    assert set(hashes(out)) == masks | videos | {"scores.csv"}

    np.testing.assert_array_equal(read_label_png(out / "masks" / "f000.png"), np.array(Image.open(mask)))
    assert len((out / "scores.csv").read_text().splitlines()) == 1 + 12 * 2
    assert len(list(open_source(out / "overlay.mp4").frames())) == 12
    matte = next(open_source(out / "mattes" / "2.mp4").frames()).image
    assert matte[25, 40].min() > 250
    assert matte[8, 10].max() < 5


def test_what_run_json_says(clip, mask, out, plugin_file):
    options = {"mode": "chained", "prompts": "mine", "plugins": [str(plugin_file)]}
    config = make_config({"executor": "inline", **options})
    run_video(config, clip, mask, out)
    record = record_of(out)
    assert record["status"] == "complete"
    assert record["frames"] == {"committed": 12, "expected": 12}
    assert record["objects"] == [1, 2]
    assert (record["config"]["prompts"], record["config"]["refine"]) == ("mine", ["cascade"])
    assert (record["fingerprint"]["device"], record["fingerprint"]["math_threads"]) == ("cpu", 1)
    assert record["inputs"]["mask_sha256"] == hashlib.sha256(mask.read_bytes()).hexdigest()
    assert record["plugins"][plugin_file.name] == hashlib.sha256(plugin_file.read_bytes()).hexdigest()
    assert {"total", "decode", "encode", "track", "write"} <= set(record["seconds"])
    assert record["counts"]["tracked"] == 11
    assert record["peak_memory_bytes"]["driver"] > 0
    assert {"torch", "ray", "av"} <= set(record["versions"])
    assert set(record["files"]) == set(hashes(out)) - {"seen-by-plugin.txt"}
    assert (out / "seen-by-plugin.txt").read_text() == "complete"


def test_only_what_is_asked_for(clip, mask, out):
    run_video(make_config({"executor": "inline", "outputs": ["scores"], "stride": 5}), clip, mask, out)
    assert set(hashes(out)) == {"scores.csv"}
    assert record_of(out)["frames"] == {"committed": 3, "expected": 3}


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_the_same_bytes_inline_and_on_ray(clip, mask, tmp_path):
    run_video(INLINE, clip, mask, tmp_path / "inline")
    run_video(make_config({"executor": "ray", "workers": 2}), clip, mask, tmp_path / "ray")
    assert hashes(tmp_path / "inline") == hashes(tmp_path / "ray")


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_workers_that_decode_themselves(clip, mask, tmp_path):
    run_video(INLINE, clip, mask, tmp_path / "inline")
    run_video(make_config({"executor": "ray", "workers": 2, "decode": "workers"}), clip, mask, tmp_path / "ray")
    assert hashes(tmp_path / "inline") == hashes(tmp_path / "ray")
    assert record_of(tmp_path / "ray")["seconds"]["worker_decode"] > 0


def test_events(clip, mask, out):
    events = []
    run_video(INLINE, clip, mask, out, listener=events.append)
    assert [event.event for event in events] == ["started", *["frame"] * 12, "complete"]
    assert [event.frame for event in events[1:-1]] == list(range(1, 13))
    assert events[-2].fps > 0
    assert events[-2].eta_s == 0

    run_video(INLINE, clip, mask, out, listener=events.append)
    assert events[-1].event == "already-complete"


def test_a_second_run(clip, mask, out):
    run_video(INLINE, clip, mask, out)
    before = (out / "run.json").stat().st_mtime_ns
    run_video(INLINE, clip, mask, out)
    assert (out / "run.json").stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match=r"another run \(different: config.mode, config.prompts"):
        run_video(make_config({"executor": "inline", "mode": "independent"}), clip, mask, out)
    run_video(make_config({"executor": "inline", "outputs": ["scores"], "overwrite": True}), clip, mask, out)
    assert set(hashes(out)) == {"scores.csv"}


def test_a_tracker_that_fails(make_clip, mask, out):
    with pytest.raises(ExecutorError, match="does not like red"):
        run_video(INLINE, make_clip(trap=RED), mask, out)
    record = record_of(out)
    assert record["status"] == "failed"
    assert record["failure"]["frame"] == 5
    assert "does not like red" in record["failure"]["reason"]
    # What was committed stays, and the videos end there.
    assert len(list((out / "masks").iterdir())) == 5
    assert len(list(open_source(out / "masks.mkv").frames())) == 5


def test_a_source_that_breaks_off(clip, mask, out):
    (clip / "f007.png").write_bytes((clip / "f007.png").read_bytes()[:300])
    with pytest.raises(DecodeError, match="frame 7 is missing or broken"):
        run_video(INLINE, clip, mask, out)
    assert record_of(out)["failure"]["frame"] == 7
    assert len(list((out / "masks").iterdir())) == 7


def test_a_broken_packet(tmp_path, mask, out):
    """The frames before it are kept, and the record says which are missing."""
    movie = tmp_path / "movie.mp4"
    generator = np.random.default_rng(3)
    with av.open(str(movie), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "0", "g": "5"})
        stream.width, stream.height, stream.pix_fmt = 64, 36, "yuv420p"
        for _ in range(20):
            image = generator.integers(0, 255, (36, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    with av.open(str(movie)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][12]
    data = bytearray(movie.read_bytes())
    data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    movie.write_bytes(data)

    with pytest.raises(DecodeError, match="frame 12 to 19"):
        run_video(INLINE, movie, mask, out)
    record = record_of(out)
    assert (record["status"], record["failure"]["frame"], record["frames"]["committed"]) == ("failed", 12, 12)
    assert "frame 12 to 19" in record["failure"]["reason"]
    assert len(list(open_source(out / "masks.mkv").frames())) == 12


def test_a_first_frame_that_cannot_be_read_is_an_input_error(clip, mask, out):
    (clip / "f000.png").write_bytes((clip / "f000.png").read_bytes()[:300])
    with pytest.raises(InputError, match="frame 0 is missing or broken"):
        run_video(INLINE, clip, mask, out)
    assert not out.exists()


def test_an_interrupt_leaves_nothing_that_looks_complete(make_clip, mask, out):
    with pytest.raises(KeyboardInterrupt):
        run_video(INLINE, make_clip(trap=GREEN), mask, out)
    assert record_of(out)["status"] == "interrupted"
    assert set(hashes(out)) == {f"masks/f{index:03d}.png" for index in range(5)}
    with pytest.raises(ConfigError, match=r"inputs\.video_sha256"):
        run_video(INLINE, make_clip("again"), mask, out)


def test_a_full_disk(clip, mask, out, monkeypatch):
    def no_space(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("persamhq_video.output.result_writer.atomic_write", no_space)
    with pytest.raises(OutputError, match=r"frame 0 cannot be written: .*No space left"):
        run_video(INLINE, clip, mask, out)
    assert record_of(out)["status"] == "failed"
    assert hashes(out) == {}


def test_several_videos_go_on_after_a_failure(make_clip, mask, out):
    videos = [make_clip("one"), make_clip("two", trap=RED), make_clip("three")]
    events = []
    tasks = [VideoTask(video, mask, out / video.name) for video in videos]
    outcomes = run_tasks(INLINE, tasks, listener=events.append)
    assert [outcome.status for outcome in outcomes] == ["complete", "failed", "complete"]
    assert outcomes[1].reason.startswith("frame 5:")
    assert [record_of(out / name)["status"] for name in ("one", "two", "three")] == ["complete", "failed", "complete"]
    for video, ending in zip(videos, ("complete", "failed", "complete"), strict=True):
        of_video = [event.event for event in events if event.video == str(video) and event.event != "frame"]
        assert of_video == ["started", ending]


def test_a_selector_that_needs_history_is_refused_without_a_chain(clip, mask, out, clinging_plugin_file):
    options = {"mode": "independent", "prompts": "mine", "plugins": [str(clinging_plugin_file)]}
    with pytest.raises(ConfigError, match="needs earlier results, which mode independent does not have"):
        run_video(make_config(options), clip, mask, out)
    assert not out.exists()


def test_personalize_video_streams(clip, mask, labels):
    from_file = list(personalize_video(clip, mask=mask, executor="inline"))
    assert [result.index for result in from_file] == list(range(12))
    assert [entry.object_id for entry in from_file[3].objects] == [1, 2]
    from_array = list(personalize_video(clip, mask=labels, executor="inline"))
    np.testing.assert_array_equal(from_array[-1].labels, from_file[-1].labels)


def test_personalize_video_can_be_left(clip, mask):
    stream = personalize_video(clip, mask=mask, executor="inline")
    assert next(stream).index == 0
    stream.close()


def test_personalize_video_takes_masks_as_arrays_and_pictures(clip, labels):
    white = (labels > 0).astype(np.uint8) * 255
    for mask in (labels > 0, white, Image.fromarray(white), (labels > 0).astype(np.int64)):
        first = next(personalize_video(clip, mask=mask, executor="inline"))
        np.testing.assert_array_equal(first.labels, labels > 0)


@pytest.mark.filterwarnings("default:.*covers nearly the whole border")
def test_personalize_video_warns_of_a_mask_that_may_be_inverted(clip, labels):
    with pytest.warns(UserWarning, match="object 1 covers nearly the whole border"):
        next(personalize_video(clip, mask=labels == 0, executor="inline"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((36, 64), np.uint8), "the mask is empty"),
        (np.ones((5, 5), np.uint8), "the mask is 5x5 but the frame is 64x36"),
        (np.ones((36, 64)) / 2, "a mask of fractions"),
        (np.full((36, 64), "1"), "got a mask"),
    ],
)
def test_personalize_video_checks_the_mask(clip, wrong, message):
    with pytest.raises(InputError, match=message):
        next(personalize_video(clip, mask=wrong))


def test_a_mask_among_the_frames_is_refused(clip, mask, out):
    among = clip / "zebra.png"
    among.write_bytes(mask.read_bytes())
    with pytest.raises(InputError, match=r"zebra\.png: the mask lies among the frames"):
        run_video(make_config({}), clip, among, out)
    assert not out.exists()
    with pytest.raises(InputError, match=r"zebra\.png: the mask lies among the frames"):
        next(personalize_video(clip, mask=str(among)))


def test_a_frame_over_the_limit_is_refused(clip, mask, out):
    config = make_config({"max_pixels": 36 * 64 - 1})
    with pytest.raises(InputError, match=r"64x36 is more than the limit of 2303 pixels; raise --max-pixels"):
        run_video(config, clip, mask, out)
    with pytest.raises(InputError, match=r"raise --max-pixels"):
        next(personalize_video(clip, mask=mask, max_pixels=2303))


def test_of_a_folder_of_masks_that_of_the_first_frame_is_taken_and_the_rest_told_of(clip, mask, out, tmp_path):
    masks = tmp_path / "masks" / "clip"
    masks.mkdir(parents=True)
    (masks / "f003.png").write_bytes(mask.read_bytes())
    (masks / "f005.png").write_bytes(mask.read_bytes())
    with pytest.raises(InputError, match=r"no mask for frame f000, which the run begins with; got f003\.png"):
        run_video(make_config({}), clip, tmp_path / "masks", out)

    events = []
    config = INLINE.model_copy(update={"start": 3, "outputs": ("masks",)})
    run_video(config, clip, tmp_path / "masks", out, listener=events.append)
    (note,) = [event.message for event in events if event.event == "note"]
    assert "a run begins with one mask, f003.png; 1 more not used (f005.png)" in note
    record = record_of(out)
    assert record["notes"] == [note]
    assert record["source"]["mask"].endswith("f003.png")


def test_a_frame_that_is_replaced_during_the_run_fails_it(clip, mask, out, monkeypatch):
    def plan_and_replace(*args):
        plan = plan_video(*args)
        (clip / "f011.png").write_bytes((clip / "f010.png").read_bytes())
        return plan

    monkeypatch.setattr("persamhq_video.pipeline.run.plan_video", plan_and_replace)
    with pytest.raises(DecodeError, match=r"f011\.png: frame 11 is another picture than at the start"):
        run_video(INLINE, clip, mask, out)
    assert record_of(out)["status"] == "failed"
    assert len(list((out / "masks").iterdir())) == 11


class TestSourceNumbers:
    """With `--start` and `--stride` frames have two numbers: that of the output, and that of the source."""

    @pytest.fixture
    def movie(self, tmp_path):
        with av.open(str(tmp_path / "movie.mkv"), "w") as container:
            stream = container.add_stream("ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 36, "yuv420p"
            for index in range(10):
                image = np.random.default_rng(index).integers(0, 255, (36, 64, 3), dtype=np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode())
        return tmp_path / "movie.mkv"

    @pytest.mark.parametrize(
        ("options", "names"),
        [
            ({}, ["00000", "00001", "00002"]),
            ({"number_frames_by": "source"}, ["00004", "00006", "00008"]),
            ({"number_frames_by": "source", "reader": "decord"}, ["00004", "00006", "00008"]),
        ],
    )
    def test_names_and_tables(self, movie, mask, out, options, names):
        outputs = ["masks", "scores", "rle"]
        config = make_config({"executor": "inline", "start": 4, "stride": 2, "outputs": outputs, **options})
        run_video(config, movie, mask, out)
        assert sorted(path.stem for path in (out / "masks").iterdir()) == names
        header, *rows = (line.split(",") for line in (out / "scores.csv").read_text().splitlines())
        assert (header[0], header[-1]) == ("frame", "source_frame")
        assert [(row[0], row[-1]) for row in rows[::2]] == [("0", "4"), ("1", "6"), ("2", "8")]
        frames = json.loads((out / "masks.rle.json").read_text())["frames"]
        assert [(frame["source_frame"], frame["name"]) for frame in frames] == list(zip((4, 6, 8), names, strict=True))

    def test_frames_of_a_folder_keep_their_names(self, clip, mask, out):
        config = make_config({"executor": "inline", "start": 4, "stride": 4, "number_frames_by": "source"})
        run_video(config, clip, mask, out)
        assert sorted(path.stem for path in (out / "masks").iterdir()) == ["f004", "f008"]
        assert (out / "scores.csv").read_text().splitlines()[-1].endswith(",8")
