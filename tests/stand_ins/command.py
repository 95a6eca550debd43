"""`persamhq-video run` in this process, from its parts by name."""

from persamhq_video.cli import main


def run(command, *more):
    """The exit code of a run; `command` has the video or videos first, then options by flag."""
    video, *options = command.values()
    videos = video if isinstance(video, list) else [video]
    flat = [part for name, value in zip(list(command)[1:], options, strict=True) for part in (name, value)]
    try:
        return main(["run", *map(str, [*videos, *flat, *more])])
    except SystemExit as exc:
        return exc.code
