"""The bars that a bot was given, in a file that only grows: what it trains on again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from itb.errors import BarsError
from itb.market.bars import Bars
from itb.market.timeframe import Timeframe
from itb.mlmodels.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from itb.live.bars.bar import Bar


class KeptBars:
    """One symbol's bars on disk, each once and in order, every bit of every number.

    A bar that a kill or a full disk has torn is cut off when the file is opened again: it is asked for once more then.
    Raises :class:`itb.errors.BarsError` for a file that holds other columns.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from itb.datafeeds.waves import sinus
    >>> from itb.live.bars.bar import rows_of
    >>> bars = sinus(bars=5)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     kept = KeptBars(Path(folder) / "bars", bars.symbol, bars.timeframe, tuple(bars.columns))
    ...     kept.add(rows_of(bars)[:3]), kept.add(rows_of(bars)), kept.read().equals(bars)
    (3, 2, True)
    """

    def __init__(self, path: Path, symbol: str, timeframe: Timeframe, columns: tuple[str, ...]) -> None:
        self.path, self._head = path, _head(symbol, timeframe, columns)
        self._row = np.dtype([("time", "<i8"), ("values", "<f8", (len(columns),))])
        if not path.exists():
            write_whole(path, self._head)
        content = path.read_bytes()
        if not content.startswith(self._head):
            first = content.partition(b"\n")[0].decode(errors="replace")
            raise BarsError(
                f"{path}: holds {first[:200]}, expected {self._head.decode().strip()}; move the bot's folder away"
            )
        rows = (len(content) - len(self._head)) // self._row.itemsize
        with path.open("r+b") as file:
            file.truncate(len(self._head) + rows * self._row.itemsize)
        times = np.frombuffer(content, self._row, rows, len(self._head))["time"]
        self.last = int(times[-1]) if rows else -1

    def add(self, rows: Iterable[Bar]) -> int:
        """Write those that come after the last one; give how many."""
        new = [row for row in rows if row.open_time > self.last]
        if new:
            block = np.array([(row.open_time, row.values) for row in new], dtype=self._row)
            with self.path.open("ab") as file:
                file.write(block.tobytes())
            self.last = new[-1].open_time
        return len(new)

    def read(self) -> Bars:
        """Give all of them."""
        found = read_kept(self.path)
        assert found is not None  # the file is written when this is made
        return found


def read_kept(path: Path) -> Bars | None:
    """Read such a file; ``None`` if there is none, raise :class:`itb.errors.BarsError` if it is something else."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    first, _, body = content.partition(b"\n")
    try:
        told = json.loads(first)
        names, timeframe = tuple(told["columns"]), Timeframe.parse(told["timeframe"])
        symbol = str(told["symbol"])
    except (ValueError, KeyError, TypeError) as error:
        raise BarsError(f"{path}: not the bars of a bot ({error}); move it away, and they are asked for anew") from None
    row = np.dtype([("time", "<i8"), ("values", "<f8", (len(names),))])
    rows = np.frombuffer(body, row, len(body) // row.itemsize)
    columns = {name: np.array(rows["values"][:, place], dtype=np.float64) for place, name in enumerate(names)}
    return Bars(symbol, timeframe, np.array(rows["time"], dtype=np.int64), columns)


def _head(symbol: str, timeframe: Timeframe, columns: tuple[str, ...]) -> bytes:
    told = {"symbol": symbol, "timeframe": str(timeframe), "columns": list(columns)}
    return json.dumps(told).encode() + b"\n"
