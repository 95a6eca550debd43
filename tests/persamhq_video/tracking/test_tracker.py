from dataclasses import replace

import numpy as np
import pytest
import torch
from stand_ins.segmenter import IDS, LABELS, NOWHERE, SIZE, FakeSegmenter, Points, frame, rectangle, step, tracker

from persam_hq.errors import CheckpointError, InputError
from persam_hq.hub import FOLDER_VARIABLE, PUBLISHED, Cache
from persam_hq.segmenter import SamMemory
from persamhq_video.config import RunConfig
from persamhq_video.errors import ExecutorError
from persamhq_video.tracking import build as build_module
from persamhq_video.tracking import state as state_module
from persamhq_video.tracking.build import VIDEO_TRACKERS
from persamhq_video.tracking.presence import Presence
from persamhq_video.tracking.state import State


def test_frame_0_is_given_and_its_labels_are_unchanged():
    begun = tracker(FakeSegmenter()).begin(frame(), LABELS)
    assert begun.target.ids == IDS
    assert np.array_equal(begun.result.labels, LABELS)
    assert [(o.object_id, o.state, o.score, o.area) for o in begun.result.objects] == [
        (3, "given", 1.0, 8),
        (7, "given", 1.0, 9),
    ]
    assert [o.box for o in begun.result.objects] == [(5, 5, 8, 6), (1, 1, 3, 3)]
    assert torch.equal(begun.target.reference, torch.from_numpy(np.stack([LABELS == 3, LABELS == 7])))


@pytest.mark.parametrize(
    ("logits", "presence", "iou", "state", "score"),
    [
        pytest.param(rectangle(1, 1, 3, 3), 0.9, 0.8, "present", 0.72, id="sure"),
        pytest.param(rectangle(1, 1, 3, 3), 0.6, 0.8, "uncertain", 0.48, id="product below a half"),
        pytest.param(rectangle(1, 1, 3, 3), 1.0, 0.49, "uncertain", 0.49, id="mask of little worth"),
        pytest.param(rectangle(1, 1, 3, 3), 0.09, 0.9, "absent", 0.0, id="presence head says no"),
        pytest.param(NOWHERE, 0.9, 0.9, "absent", 0.0, id="empty mask"),
    ],
)
def test_what_is_said_of_an_object(logits, presence, iou, state, score):
    labels = np.where(LABELS == 3, 3, 0).astype(np.uint8)
    fake = FakeSegmenter(logits=[logits], presence=[presence], scores=[iou])
    _, _, result = step(fake, labels)
    (said,) = result.objects
    assert said.state == state
    assert said.score == pytest.approx(score)
    assert said.predicted_iou == pytest.approx(iou)
    assert said.area == (0 if state == "absent" else 9)
    assert said.box == (None if state == "absent" else (1, 1, 3, 3))
    assert fake.remembered[0].tolist() == [state != "absent"]


def test_thresholds_of_presence_are_the_trackers():
    fake = FakeSegmenter(logits=[rectangle(1, 1, 3, 3), rectangle(6, 1, 8, 3)], presence=[0.3, 0.3])
    _, _, result = step(fake, presence=Presence(absent_below=0.2, uncertain_below=0.25))
    assert [o.state for o in result.objects] == ["present", "present"]


@pytest.mark.parametrize(
    ("presence", "absent_below", "missing", "state"),
    [
        pytest.param(0.2, 0.1, 0, "uncertain", id="followed: a little is enough"),
        pytest.param(0.2, 0.1, 3, "absent", id="lost: a little is not enough"),
        pytest.param(0.6, 0.1, 3, "present", id="lost: comes back"),
        pytest.param(0.01, 0.0, 0, "uncertain", id="presence plays no part"),
        pytest.param(0.01, 0.0, 3, "uncertain", id="nor after a loss"),
    ],
)
def test_an_object_that_was_absent_needs_more_to_be_present(presence, absent_below, missing, state):
    fake = FakeSegmenter(logits=[rectangle(1, 1, 3, 3), rectangle(6, 1, 8, 3)], presence=[presence] * 2)
    video = tracker(fake, presence=Presence(absent_below=absent_below))
    begun = video.begin(frame(), LABELS)
    memory = replace(begun.state.memory, missing=torch.tensor([missing, missing]))
    _, result = video.track(begun.target, State(memory), video.encode(frame(1)))
    assert {o.state for o in result.objects} == {state}


def test_each_pixel_goes_to_the_object_that_claims_it_most():
    fake = FakeSegmenter(logits=[rectangle(0, 0, 5, 5, logit=2.0), rectangle(4, 4, 9, 7, logit=3.0)])
    _, _, result = step(fake)
    want = np.zeros(SIZE, np.uint8)
    want[0:6, 0:6] = 3
    want[4:8, 4:10] = 7
    assert np.array_equal(result.labels, want)
    assert [o.area for o in result.objects] == [32, 24]
    assert result.objects[0].box == (0, 0, 5, 5)


def test_ids_stay_when_one_object_vanishes():
    labels = LABELS.copy()
    labels[0, 9] = 5
    shown = [rectangle(5, 5, 8, 6), NOWHERE, rectangle(1, 1, 3, 3)]
    _, _, result = step(FakeSegmenter(logits=shown), labels)
    assert [(o.object_id, o.state) for o in result.objects] == [(3, "present"), (5, "absent"), (7, "present")]
    assert np.array_equal(result.labels, LABELS)


def test_an_object_called_absent_claims_no_pixels():
    fake = FakeSegmenter(logits=[rectangle(0, 0, 9, 7, logit=9.0), rectangle(1, 1, 3, 3)], presence=[0.0, 1.0])
    _, _, result = step(fake)
    assert np.array_equal(result.labels, np.where(LABELS == 7, 7, 0))


def test_a_frame_is_looked_at_again_where_a_window_cut_off_an_object():
    class Cuts(FakeSegmenter):
        located_with = ()

        def locate(self, reference, features, memory):
            self.located_with += (memory,)
            return super().locate(reference, features, memory)

        def look(self, reference, features, memory, judge):
            first = judge(self.locate(reference, features, memory))
            assert first.present.tolist() == [False, True]
            self.logits = [rectangle(0, 0, 5, 5), rectangle(6, 6, 9, 7)]
            recentred = replace(memory, boxes=memory.boxes + 100)
            return judge(replace(self.locate(reference, features, recentred), memory=memory))

        def remember(self, located, decoded, present):
            self.remembered.append((located.context, located.memory, present.tolist()))
            return located.memory

    fake, points = Cuts(logits=[NOWHERE, rectangle(0, 0, 1, 1)]), Points()
    _, _, result = step(fake, selector=points)
    assert (result.labels == IDS[0]).sum() == 36, "the second look is what counts"
    first, second = fake.located_with
    assert torch.equal(second.boxes, first.boxes + 100)
    assert fake.remembered == [(second, first, [True, True])], "velocity comes from where it really was"
    assert [view.box for view in points.views[2:]] == [view.box for view in points.views[:2]]


def test_the_score_is_how_certain_the_mask_is_and_not_the_iou_heads_opinion():
    class Certain(FakeSegmenter):
        def decode(self, located, prompts, *, guided, choice):
            decoded = super().decode(located, prompts, guided=guided, choice=choice)
            return replace(decoded, certainty=torch.tensor([0.6, 0.9]), presence=torch.tensor([0.5, 1.0]))

    result = step(Certain(logits=[rectangle(0, 0, 2, 2), rectangle(6, 6, 8, 7)], scores=[0.9, 0.2]))[2]
    assert [o.score for o in result.objects] == pytest.approx([0.3, 0.9])
    assert [o.predicted_iou for o in result.objects] == pytest.approx([0.9, 0.2])
    assert [o.state for o in result.objects] == ["uncertain", "present"]


def test_what_a_cut_left_behind_is_missing_from_there_on():
    class Cut(FakeSegmenter):
        def look(self, reference, features, memory, judge):
            return super().look(reference, features, replace(memory, missing=torch.tensor([1, 0])), judge)

        def remember(self, located, decoded, present):
            assert located.context is located.memory
            assert located.memory.missing.tolist() == [1, 0]
            return located.memory

    fake = Cut(logits=[rectangle(0, 0, 2, 2), rectangle(6, 6, 8, 7)], presence=[0.4, 0.4])
    assert [o.state for o in step(fake)[2].objects] == ["absent", "uncertain"], "to be back it has to be likelier"


class Twice:
    """A refiner of two more passes."""

    def __call__(self, prediction, prompts, decode, image):
        assert image.shape == (*SIZE, 3)
        decode(prompts)
        return decode(prompts)


@pytest.mark.parametrize(
    ("guided", "refiners", "guided_calls", "choices"),
    [
        (True, [], [True], ["single"]),
        (False, [], [False], ["single"]),
        (True, [Twice()], [True, False, False], ["single", "best", "best"]),
        (True, [Twice(), Twice()], [True] + [False] * 4, ["single"] + ["best"] * 4),
    ],
)
def test_only_the_first_pass_is_guided_and_every_call_counts(guided, refiners, guided_calls, choices):
    fake = FakeSegmenter(logits=[rectangle(1, 1, 3, 3)] * 2)
    video, _, result = step(fake, guided=guided, refiners=refiners)
    assert [call["guided"] for call in fake.calls] == guided_calls
    assert [call["choice"] for call in fake.calls] == choices
    assert all(len(call["prompts"]) == 2 for call in fake.calls)
    assert video.counts() == {"decoder_calls": len(choices), "guided_decoder_calls": sum(guided_calls)}
    assert result.objects[0].similarity == pytest.approx(0.1 * len(choices))


def test_the_first_choice_can_be_the_largest_mask():
    fake = FakeSegmenter(logits=[rectangle(1, 1, 3, 3)] * 2)
    step(fake, first_choice="largest")
    assert fake.calls[0]["choice"] == "largest"


def test_a_selector_sees_each_objects_own_past():
    points = Points()
    step(FakeSegmenter(logits=[rectangle(1, 1, 3, 3)] * 2), selector=points, index=4)
    assert [view.object_id for view in points.views] == [3, 7]
    assert [view.box for view in points.views] == [(0, 1, 2, 3), (10, 11, 12, 13)]
    assert points.views[0].mask_logits.shape == (1, 4, 4)
    assert points.views[0].mask_logits.dtype == np.float32
    assert (points.frames[0].index, points.frames[0].size) == (4, SIZE)


def test_independent_frames_have_no_past_and_leave_none():
    points, fake = Points(), FakeSegmenter(logits=[rectangle(1, 1, 3, 3)] * 2)
    _, state, _ = step(fake, selector=points, chained=False)
    assert state.memory is None
    assert fake.remembered == []
    assert [(view.box, view.mask_logits) for view in points.views] == [(None, None)] * 2


class Wrong:
    """A strategy that returns what it was made with."""

    needs_history = False

    def __init__(self, value):
        self.value = value

    def __call__(self, *_):
        return self.value


def test_a_selector_that_returns_something_else_is_named():
    with pytest.raises(
        ExecutorError,
        match=r"selector 'wrong' .* frame 1, object 3: it returned a list, expected a PromptSet",
    ):
        step(FakeSegmenter(logits=[NOWHERE] * 2), selector=Wrong([]))


def test_a_refiner_that_returns_something_else_is_named():
    with pytest.raises(
        ExecutorError,
        match=r"'wrong' .* frame 1: it returned a NoneType, expected a MaskPred",
    ):
        step(FakeSegmenter(logits=[NOWHERE] * 2), refiners=[Wrong(None)])


def test_a_refiner_that_loses_an_object_is_named():
    fake = FakeSegmenter(logits=[NOWHERE])
    lost = fake.decode(fake.locate(torch.zeros(1), None, None), [], guided=False, choice="single").prediction
    with pytest.raises(ExecutorError, match=r"it returned masks of shape \(1, 8, 10\), expected \(2, 8, 10\)"):
        step(FakeSegmenter(logits=[NOWHERE] * 2), refiners=[Wrong(lost)])


def test_a_state_that_grew_too_large_is_refused():
    k = 2
    memory = SamMemory(
        boxes=torch.zeros(k, 4),
        logits=torch.zeros(k, 1, 1024, 1024).half(),
        missing=torch.zeros(k, dtype=torch.int64),
    )
    with pytest.raises(AssertionError, match=r"the state holds \d+ bytes, more than 1572864"):
        State(memory)


def test_more_objects_than_the_state_has_room_for_are_refused_on_the_first_frame(monkeypatch):
    labels = np.arange(1, 7, dtype=np.uint8).repeat(2).reshape(3, 4)
    size = FakeSegmenter().begin(None, torch.ones(1, 3, 4)).nbytes
    monkeypatch.setattr(state_module, "BYTES_PER_VIDEO", 50)
    monkeypatch.setattr(state_module, "BYTES_PER_OBJECT", size - 10)
    with pytest.raises(InputError, match="got 6 objects on the first frame, expected at most 5 at this detail"):
        tracker(FakeSegmenter()).begin(frame(0), labels)


class Keeps(Points):
    def __init__(self, *, first, later):
        super().__init__()
        self.first, self.later = first, later

    def fit(self, first):
        return [self.first] * len(first.object_ids)

    def remember(self, slot, seen):
        return self.later


@pytest.mark.parametrize(("first", "later", "index"), [(60, 0, 0), (10, 60, 1)])
def test_strategies_that_keep_more_than_the_state_has_room_for_are_named(monkeypatch, first, later, index):
    of_memory = FakeSegmenter().begin(None, torch.ones(2, 3, 4)).nbytes
    monkeypatch.setattr(state_module, "BYTES_PER_VIDEO", 100)
    monkeypatch.setattr(state_module, "BYTES_PER_OBJECT", of_memory // 2)
    kept = Keeps(first=np.zeros(first, np.uint8), later=np.zeros(later, np.uint8))
    said = rf"'keeps' .* failed at frame {index}: its slots hold 120 bytes of 2 objects, .* 120, at most 100 travel"
    with pytest.raises(ExecutorError, match=said):
        step(FakeSegmenter(logits=[NOWHERE] * 2), selector=kept)


def test_the_bytes_of_features_are_the_images_and_the_tensors():
    video = tracker(FakeSegmenter())
    sizes = {"image": 8 * 10 * 3, "image_embedding": 2 * 2 * 2 * 4, "interm_embeddings": 0, "hq_features": 0}
    assert video.feature_bytes(video.encode(frame())) == sizes
    assert "ImageFeatures" in repr(video.encode(frame()))


def test_tracking_twice_gives_the_same():
    fake = FakeSegmenter(logits=[rectangle(0, 0, 5, 5), rectangle(4, 4, 9, 7)])
    video = tracker(fake)
    begun = video.begin(frame(), LABELS)
    features = video.encode(frame(1))
    first, second = (video.track(begun.target, begun.state, features)[1] for _ in range(2))
    assert np.array_equal(first.labels, second.labels)
    assert first.objects[0].score == second.objects[0].score


@pytest.mark.parametrize(
    ("options", "chained", "guided", "choice"),
    [
        ({}, True, True, "single"),
        ({"mode": "independent"}, False, True, "single"),
        ({"no_guidance": True}, True, False, "single"),
        ({"decoder": "hq"}, True, True, "single"),
        ({"detail": "fine"}, True, True, "single"),
        ({"published": True, "mode": "chained"}, True, False, "largest"),
        ({"published": True, "mode": "independent"}, False, True, "single"),
        ({"without": ("motion", "presence")}, True, True, "single"),
    ],
)
def test_a_configuration_becomes_a_tracker(monkeypatch, options, chained, guided, choice):
    asked = []

    def build_segmenter(model, **settings):
        asked.append((model, settings))
        return FakeSegmenter()

    monkeypatch.setattr(build_module, "build_segmenter", build_segmenter)
    video = VIDEO_TRACKERS.build(RunConfig(dtype="bfloat16", **options), Points(), [])
    assert (video.chained, video.guided, video.first_choice) == (chained, guided, choice)
    ((model, settings),) = asked
    assert model == "lite"
    assert settings["dtype"] == torch.bfloat16
    assert settings["device"] == "cpu"
    assert settings["published"] == options.get("published", False)
    assert settings["without"] == options.get("without", ())
    assert video.presence.absent_below == (0.0 if "presence" in options.get("without", ()) else 0.1)
    assert settings["detail"] == options.get("detail", "normal")
    assert settings["use_hq"] == (options.get("decoder") == "hq")


def test_weights_are_found_or_asked_for(tmp_path):
    path = tmp_path / "b.pth"
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*b.pth; --checkpoint takes a"):
        VIDEO_TRACKERS.weights_path(RunConfig(model="vit_b", checkpoint=path))
    path.touch()
    assert VIDEO_TRACKERS.weights_path(RunConfig(model="vit_b", checkpoint=path)) == path
    assert VIDEO_TRACKERS.weights_path(RunConfig()).name == "lite.safetensors"
    with pytest.raises(CheckpointError, match="the model vit_b comes without weights; pass --checkpoint"):
        VIDEO_TRACKERS.weights_path(RunConfig(model="vit_b"))


def test_a_checkpoint_may_be_the_name_of_a_downloaded_file(tmp_path, monkeypatch):
    entry = PUBLISHED["hf_sam_vit_base"]  # no hash of it is published: the first one seen is recorded
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    config = RunConfig(model="vit_b", checkpoint=entry.name)
    with pytest.raises(CheckpointError, match=f"run `persam-hq checkpoints download {entry.name}`"):
        VIDEO_TRACKERS.weights_path(config)
    # A file of the published size would be 375 MB
    monkeypatch.setattr("persam_hq.hub.cache.what_is_wrong", lambda entry, path: None)
    path = Cache(tmp_path).path(entry)
    path.write_bytes(b"weights")
    assert VIDEO_TRACKERS.weights_path(config) == path
