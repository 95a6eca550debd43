"""Training spread over workers by Ray Train.

Ray Train starts the workers, on one machine or many, and joins them in torch's process group. Every worker works in
this process's directory and has to see the same files there: data, weights and the folder of the run.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from ray import cloudpickle
from ray.exceptions import RayError
from ray.util.queue import Queue

from persam_hq.errors import PersamHQError, error_line, one_line
from persam_hq.training.distributed import Communicator, ProcessGroup
from persamhq_video.errors import ExecutorError
from persamhq_video.executors.workers.ray_pool import check_resources, worker_environment
from persamhq_video.executors.workers.ray_session import connect

__all__ = ["TrainingCluster", "train_on_ray"]

Report = Callable[[str], None]


class TrainingFunction(Protocol):
    """What each worker runs; it has to survive pickling, and its module to be importable on every node."""

    def __call__(self, *, communicator: Communicator, device: torch.device, report: Report) -> None:
        """Train; worker 0 tells `report` how it goes, a line at a time."""
        ...


@dataclass(frozen=True, slots=True)
class TrainingCluster:
    """How many workers, what each reserves, and where; `address=None` starts a cluster of our own."""

    workers: int
    threads: int
    gpus_per_worker: float = 0
    address: str | None = None


def train_on_ray(work: TrainingFunction, cluster: TrainingCluster, *, storage: Path, report: Report) -> None:
    """Run `work` in all workers and wait; an error of theirs is raised here.

    storage: a folder for Ray Train's own files. report: called in this process with the lines of worker 0.
    """
    trainer_type, config_types = _ray_train()
    with connect(cluster.address, cpus=cluster.workers * cluster.threads):
        # More than the cluster could ever place would be waited for without end.
        needs = _resources(cluster)
        check_resources(cluster.workers, needs)
        environment = worker_environment(threads=cluster.threads, address=cluster.address)
        with _reported(report) as lines:
            # As bytes, since Ray Train's controller has no use for it and may not be able to import its module
            packed: bytes = cloudpickle.dumps(work)  # type: ignore[no-untyped-call]
            trainer = trainer_type(
                _work_in_worker,
                train_loop_config={"work": packed, "lines": lines, "directory": str(Path.cwd())},
                scaling_config=config_types.ScalingConfig(
                    num_workers=cluster.workers,
                    use_gpu=cluster.gpus_per_worker > 0,
                    resources_per_worker=needs,
                ),
                run_config=config_types.RunConfig(
                    storage_path=str(storage.resolve()), worker_runtime_env={"env_vars": environment}
                ),
            )
            _fit(trainer, config_types)


def _ray_train() -> tuple[Any, Any]:
    """TorchTrainer, and the module with the types of its configuration."""
    try:
        from ray import train
        from ray.train.torch import TorchTrainer
    except ImportError as exc:
        raise ExecutorError(
            "training with several workers needs Ray Train: pip install 'persam-hq-video[train]'"
        ) from exc
    return TorchTrainer, train


def _work_in_worker(settings: dict[str, Any]) -> None:
    """What Ray Train runs in each worker, once torch's process group is joined."""
    from ray.train.torch import get_device

    os.chdir(settings["directory"])  # Ray Train works in a folder of its own, and paths are relative to the driver's
    lines = settings["lines"]
    work: TrainingFunction = cloudpickle.loads(settings["work"])
    work(communicator=ProcessGroup(), device=get_device(), report=lines.put)


def _fit(trainer: Any, config_types: Any) -> None:
    """Train, and turn what Ray raises into an error of ours: that of the first worker that has one."""
    try:
        trainer.fit()
    except config_types.TrainingFailedError as exc:
        failures = getattr(exc, "worker_failures", {})
        for rank in sorted(failures):
            cause = _cause(failures[rank])
            if isinstance(cause, PersamHQError):
                raise cause from None
            raise ExecutorError(f"worker {rank} failed in training: {error_line(cause)}") from exc
        raise ExecutorError(f"Ray Train failed: {one_line(exc)}") from exc
    except RayError as exc:
        raise ExecutorError(f"Ray failed in training: {one_line(exc)}") from exc


def _cause(failure: BaseException) -> BaseException:
    """What a worker raised, out of the wrappers that Ray puts around it; releases of Ray call it by different names."""
    inner = getattr(failure, "cause", None) or getattr(failure, "base_exc", None) or getattr(failure, "_base_exc", None)
    return _cause(inner) if isinstance(inner, BaseException) else failure


@contextmanager
def _reported(report: Report) -> Iterator[Any]:
    """A queue that the workers put lines into, and a thread of this process that hands them to `report`."""
    lines: Any = Queue()

    def listen() -> None:
        for line in iter(lines.get, None):
            report(line)

    thread = threading.Thread(target=listen, name="report", daemon=True)
    thread.start()
    try:
        yield lines
    finally:
        lines.put(None)
        thread.join()
        lines.shutdown()


def _resources(cluster: TrainingCluster) -> dict[str, float]:
    """What each worker reserves, as Ray names it."""
    gpus = {"GPU": cluster.gpus_per_worker} if cluster.gpus_per_worker else {}
    return {"CPU": float(cluster.threads), **gpus}
