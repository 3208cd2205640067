"""Independent pieces of work spread over a Ray cluster, their results in order.

The folders that the work reads and writes must be the same on all machines of the cluster, as must the versions.
"""

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tfen.errors import InputError, TfenError, needs_extra
from tfen.progress import meter
from tfen.stopping import Stop

RETRIES = 10
"""How often a piece of work whose worker is lost is given to another one."""


@dataclass
class Cluster:
    """Where pieces of work run."""

    ray: str | None = None
    "Spread the work over a Ray cluster: its address (host:port, or auto), or local for the cores of this machine."
    ray_cpus: float = 1.0
    "Processor cores for each piece of work."
    ray_gpus: float = 0.0
    "GPUs for each piece of work; a part of one may be given."


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_threads(count: int) -> None:
    """Keep this process to some threads: full teams in every worker would wait for each other most of the time."""
    import cv2
    import torch

    cv2.setNumThreads(count)
    torch.set_num_threads(count)


def spread(
    tasks: Sequence[Callable[[], Any]],
    cluster: Cluster,
    what: str,
    unit: str,
    listen: Callable[[Any], None] = lambda result: None,
    stop: Stop | None = None,
) -> list[Any]:
    """Do all tasks, each in a worker of its own, and return their results in the order of the tasks.

    A task whose worker is lost is done again by another one. The first error ends everything.

    Args:
        tasks: functions without arguments that can be sent to another process.
        what: names the work in the progress display.
        listen: is given every result as it comes.
        stop: whether somebody asks for the end.

    Raises:
        InputError: Ray is not installed or there is no cluster at the address.
        TfenError: a task failed, or kept losing its worker.
    """
    try:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        import ray
    except ImportError:
        raise needs_extra("--ray", "ray") from None
    local = cluster.ray == "local"
    if not local and cluster.ray != "auto":
        _reach(str(cluster.ray))  # Ray itself tries for minutes
    alone: dict[str, Any] = {"_node_ip_address": "127.0.0.1", "include_dashboard": False} if local else {}
    try:
        ray.init(None if local else cluster.ray, log_to_driver=False, configure_logging=False, **alone)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(f"there is no Ray cluster at {cluster.ray}: {str(error).splitlines()[0]}") from None
    try:
        return _results(ray, tasks, cluster, what, unit, listen, stop or Stop())
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Raise InputError if nobody listens at host:port."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError) as error:
        raise InputError(f"there is no Ray cluster at {address} ({error}); expected host:port, auto or local") from None


def _results(
    ray: Any,
    tasks: Sequence[Callable[[], Any]],
    cluster: Cluster,
    what: str,
    unit: str,
    listen: Callable[[Any], None],
    stop: Stop,
) -> list[Any]:
    for kind, wanted in (("CPU", cluster.ray_cpus), ("GPU", cluster.ray_gpus)):
        most = max(node["Resources"].get(kind, 0) for node in ray.nodes() if node["Alive"])
        if wanted > most:
            raise InputError(
                f"--ray-{kind.lower()}s is {wanted:g}, but no machine of the cluster has more than {most:g}"
            )
    remote = ray.remote(_do).options(
        num_cpus=cluster.ray_cpus, num_gpus=cluster.ray_gpus, max_retries=RETRIES, retry_exceptions=False
    )
    waiting = [remote.remote(task, max(1, int(cluster.ray_cpus))) for task in tasks]
    places = {reference: number for number, reference in enumerate(waiting)}
    out: list[Any] = [None] * len(tasks)
    with meter(what, len(tasks), unit) as progress:
        while waiting:
            stop.check()
            ready, waiting = ray.wait(waiting, timeout=1.0)
            for reference in ready:
                try:
                    out[places[reference]] = result = ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    if isinstance(error.cause, TfenError):
                        raise error.cause from None
                    raise
                except ray.exceptions.RayError as error:
                    raise TfenError(f"{what}: a worker was lost too often: {str(error).splitlines()[0]}") from None
                listen(result)
                progress.advance()
    return out


def _do(task: Callable[[], Any], threads: int) -> Any:
    """Do a task in a worker, with as many threads as it was given cores."""
    use_threads(threads)
    return task()
