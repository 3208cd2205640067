"""Stages of a pipeline that work at the same time, each in a thread of its own."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class _Waiting(Generic[Item]):
    """Items between two threads: as many, and together as heavy, as they may be; a single one may weigh more."""

    def __init__(self, depth: int, weigh: Callable[[Item], int], most: int) -> None:
        self._depth, self._weigh, self._most = depth, weigh, most
        self._items: deque[tuple[Item, int]] = deque()
        self._weight = 0
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._ended = self._stopped = False

    def put(self, item: Item) -> bool:
        """Add an item as soon as there is room, and tell whether anybody still wants it."""
        weight = self._weigh(item)
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._has_room(weight))
            self._items.append((item, weight))
            self._weight += weight
            self._changed.notify_all()
            return not self._stopped

    def _has_room(self, weight: int) -> bool:
        return not self._items or (len(self._items) < self._depth and self._weight + weight <= self._most)

    def take(self) -> Iterator[Item]:
        """Yield the items until the end, or raise the error that ended them."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._ended)
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    return
                item, weight = self._items.popleft()
                self._weight -= weight
                self._changed.notify_all()
            yield item
            del item  # a frame is large

    def end(self, error: BaseException | None = None) -> None:
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def stop(self) -> None:
        """Let go of everything: nobody takes items any more."""
        with self._changed:
            self._stopped = True
            self._items.clear()
            self._changed.notify_all()


def ahead(
    source: Iterable[Item], depth: int, weigh: Callable[[Item], int] = lambda item: 0, most: int = 0
) -> Iterator[Item]:
    """Yield the items of `source`, which runs in a thread and is at most `depth` items ahead.

    An error in the source is raised here, after the items before it. When the consumer stops, the source is closed.

    Args:
        weigh: tells how heavy an item is.
        most: what the items that wait may weigh together; one alone may weigh more.
    """
    waiting = _Waiting(depth, weigh, most)

    def work() -> None:
        items = iter(source)
        error: BaseException | None = None
        try:
            for item in items:
                if not waiting.put(item):
                    return
                del item
        except BaseException as raised:
            error = raised
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
            waiting.end(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield from waiting.take()
    finally:
        waiting.stop()
        if thread is not threading.current_thread():  # which happens where what is left over is collected
            thread.join()
