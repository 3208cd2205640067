"""Stages of a pipeline that work at the same time, each in a thread of its own."""

import threading
from collections.abc import Iterable, Iterator
from queue import Empty, Full, Queue
from typing import TypeVar

Item = TypeVar("Item")


def ahead(source: Iterable[Item], depth: int) -> Iterator[Item]:
    """Yield the items of `source`, which runs in a thread and is at most `depth` items ahead.

    An error in the source is raised here, after the items before it. When the consumer stops, the source is closed.
    """
    waiting: Queue[tuple[bool, object]] = Queue(depth)
    stop = threading.Event()

    def put(good: bool, value: object) -> None:
        while not stop.is_set():
            try:
                waiting.put((good, value), timeout=0.1)
                return
            except Full:
                continue

    def work() -> None:
        items = iter(source)
        try:
            for item in items:
                put(True, item)
                if stop.is_set():
                    return
            put(False, None)
        except BaseException as error:
            put(False, error)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            good, value = waiting.get()
            if good:
                yield value  # type: ignore[misc]
            elif value is None:
                return
            else:
                raise value  # type: ignore[misc]
    finally:
        stop.set()
        while thread.is_alive():
            try:
                waiting.get_nowait()
            except Empty:
                thread.join(0.1)
