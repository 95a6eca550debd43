"""The fold over one video: when its state is saved, how it goes back, and in which order results go out."""

import pytest
from stand_ins.pool import InstantPrefetcher, StandInClient, make_frame

from persamhq_video.errors import DecodeError, OutputError
from persamhq_video.executors.client import Continuation
from persamhq_video.executors.driver.video_in_flight import MAX_UNSAVED_FRAMES, STATE_INTERVAL, VideoInFlight
from persamhq_video.executors.usage import Tracked
from persamhq_video.types import FrameResult


def result(frame):
    return FrameResult(frame.index, frame.pts, frame.time_base, frame.name, frame.image[..., 0], ())


def make_video(client, *, chained=True, begun=True):
    video = VideoInFlight(0, client, InstantPrefetcher(client.frames, wake=lambda: None), chained=chained)
    if begun:
        first = video.next_frame()
        video.begin(target="target", state=(0,), first=Tracked(first, result(first)))
    return video


def track(video):
    """Track the next frame, as the scheduler does; whether its state is to be saved."""
    task = video.add(video.next_frame())
    task.is_encoded = True
    task.next_state = (*video.state, task.index)
    return video.add_result(task, result(task.frame))


def test_the_state_is_saved_every_eight_frames():
    video = make_video(StandInClient(40))
    assert [index for index in range(1, 33) if track(video)] == [7, 15, 23, 31]
    assert STATE_INTERVAL == 8


def test_a_state_whose_copy_was_lost_is_saved_with_the_next_frame():
    video = make_video(StandInClient(40))
    video.fetch_failed = True
    assert track(video)
    video.save_state(1, video.state)
    assert not track(video)


def test_a_saved_state_of_what_is_delivered_goes_to_the_client():
    video = make_video(client := StandInClient(40))
    track(video)
    video.save_state(1, (0, 1))
    assert client.snapshots == []
    video.deliver()
    video.save_state(1, (0, 1))
    assert client.snapshots == [(1, (0, 1))]


def test_going_back_makes_tasks_of_what_was_tracked_since():
    video = make_video(client := StandInClient(40))
    for _ in range(5):
        track(video)
    video.deliver()
    video.save_state(3, (0, 1, 2, 3))
    video.rewind()
    assert video.state == (0, 1, 2, 3)
    assert video.newest_index == 3
    assert [task.index for task in video.tasks] == [4, 5]
    assert not any(task.is_encoded for task in video.tasks)

    # Tracked again they are not delivered again.
    for task in list(video.tasks):
        task.next_state = (*video.state, task.index)
        video.add_result(task, result(task.frame))
    video.deliver()
    assert client.delivered == [0, 1, 2, 3, 4, 5]


def test_a_state_of_before_the_video_went_back_is_not_believed():
    video = make_video(StandInClient(40))
    for _ in range(5):
        track(video)
    video.rewind()
    video.save_state(5, "of frames that are tracked again")
    video.rewind()
    assert video.state == (0,)


def test_no_frame_is_tracked_too_far_beyond_the_disk():
    video = make_video(client := StandInClient(40))
    client.snapshots.append((7, ()))
    task = video.add(make_frame(7 + MAX_UNSAVED_FRAMES))
    assert video.may_track(task)
    assert not video.may_track(video.add(make_frame(8 + MAX_UNSAVED_FRAMES)))


@pytest.mark.parametrize(("chained", "indices"), [(True, [1]), (False, [1, 3])])
def test_which_frames_can_be_tracked(chained, indices):
    video = make_video(StandInClient(40), chained=chained)
    for encoded in (True, False, True):
        video.add(video.next_frame()).is_encoded = encoded
    assert [task.index for task in video.trackable()] == indices


def test_a_chain_waits_for_its_next_frame():
    video = make_video(StandInClient(40))
    video.add(video.next_frame())
    video.add(video.next_frame()).is_encoded = True
    assert list(video.trackable()) == []


def test_the_first_frame_that_failed_ends_the_video_after_those_before_it():
    video = make_video(client := StandInClient(40), chained=False)
    tasks = [video.add(video.next_frame()) for _ in range(3)]
    tasks[1].error = failed = OutputError("no")
    video.add_result(tasks[2], result(tasks[2].frame))
    video.deliver()
    assert video.failure is None
    video.add_result(tasks[0], result(tasks[0].frame))
    video.deliver()
    assert video.failure is failed
    assert client.delivered == [0, 1]


def test_an_error_of_the_source_comes_in_its_turn():
    video = make_video(StandInClient(2, source_error=(broken := OutputError("broken"))))
    task = video.add(video.next_frame())
    assert video.next_frame() is None
    assert video.failure is None
    video.add_result(task, result(task.frame))
    video.deliver()
    assert video.failure is broken


def test_a_source_without_a_frame():
    video = make_video(StandInClient(0), begun=False)
    assert video.next_frame() is None
    assert isinstance(video.failure, DecodeError)
    assert "ends before its first frame" in str(video.failure)


def test_a_video_that_is_resumed_goes_on_from_its_clients_state():
    video = make_video(client := StandInClient(40, continuation=Continuation(16, "state after 15")))
    assert (video.state, video.newest_index, client.delivered) == ("state after 15", 15, [])
    assert video.next_frame().index == 16


def test_it_is_finished_once_all_is_delivered():
    video = make_video(StandInClient(2))
    track(video)
    assert video.next_frame() is None
    assert not video.finished
    video.deliver()
    assert video.finished
