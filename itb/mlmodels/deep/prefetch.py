"""Read ahead in a thread, in the order in which things are asked for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterator[Item], depth: int) -> Iterator[Item]:
    """Give ``items``, up to ``depth`` of them read before they are asked for; 0 reads each when it is asked for.

    What goes wrong while reading is raised where the item would have been given. The thread ends when nobody asks any
    more.

    >>> list(ahead(iter(range(5)), depth=2))
    [0, 1, 2, 3, 4]
    """
    if not depth:
        yield from items
        return
    line: queue.Queue[tuple[bool, Item | BaseException | None]] = queue.Queue(maxsize=depth)
    is_over = threading.Event()

    def put(entry: tuple[bool, Item | BaseException | None]) -> None:
        while not is_over.is_set():
            try:
                line.put(entry, timeout=0.05)
            except queue.Full:
                continue
            return

    def read() -> None:
        try:
            for item in items:
                put((True, item))
                if is_over.is_set():
                    return
            put((False, None))
        except BaseException as error:  # noqa: BLE001 -- it is raised again where the item would have been given
            put((False, error))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        while True:
            is_item, item = line.get()
            if is_item:
                yield item  # type: ignore[misc]  # an item, and none of the others
            elif isinstance(item, BaseException):
                raise item
            else:
                return
    finally:
        is_over.set()
        thread.join()
