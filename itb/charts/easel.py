"""The process that draws: what is to be drawn comes in as plain data, pictures go out; it knows nothing else."""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from itb.charts.equity_picture import EquityPicture
    from itb.charts.score_picture import ScorePicture

IDLE_S = 120.0
DRAWN, FAILED = b"\x01", b"\x00"
_NICE = 10


def of_plain(plain: Mapping[str, Any]) -> ScorePicture | EquityPicture:
    """Read a picture back from what its ``plain`` gave."""
    import numpy as np

    from itb.charts.equity_picture import EquityPicture
    from itb.charts.score_blocks import ScoreBlocks
    from itb.charts.score_picture import Mark, ScorePicture

    def floats(values: list[float]) -> Any:
        return np.array(values, dtype=np.float64)

    values = {name: value for name, value in plain.items() if name != "kind"}
    if plain["kind"] == "equity":
        arrays = {"time": np.array(values["time"], dtype=np.int64), "equity": floats(values["equity"])}
        hold = None if values["hold"] is None else floats(values["hold"])
        return EquityPicture(**values | arrays | {"hold": hold})
    blocks = values["blocks"]
    gathered = ScoreBlocks(
        np.array(blocks["time"], dtype=np.int64), *(floats(blocks[n]) for n in ("high", "low", "close", "score"))
    )
    marks = tuple(Mark(**mark) for mark in values["marks"])
    lines = {name: tuple(values[name]) for name in ("thresholds", "price_averages", "score_averages")}
    return ScorePicture(**values | lines | {"blocks": gathered, "marks": marks})


def framed(body: bytes) -> bytes:
    r"""Put the length before what is sent.

    >>> framed(b"abc")
    b'\x00\x00\x00\x03abc'
    """
    return len(body).to_bytes(4, "big") + body


def draw_child() -> None:
    """Draw until nobody asks any more; the child's main function. It gives way to trading."""
    os.nice(_NICE)
    told = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no picture
    while select.select([0], [], [], IDLE_S)[0]:
        asked = _read(_length(_read(4)))
        try:
            job = json.loads(asked)
            answer = DRAWN + framed(of_plain(job["picture"]).png(job["theme"]))
        except Exception as error:  # noqa: BLE001  whatever a picture fails by, the next one is another
            answer = FAILED + framed(f"{type(error).__name__}: {error}".encode())
        while answer:
            answer = answer[os.write(told, answer) :]


def _length(head: bytes) -> int:
    return int.from_bytes(head, "big")


def _read(count: int) -> bytes:
    """Read so many bytes; end where whoever asked is gone."""
    found = b""
    while len(found) < count:
        more = os.read(0, count - len(found))
        if not more:
            sys.exit(0)
        found += more
    return found
