"""A public archive on this machine, laid out as Binance's, that can be incomplete, spoilt or slow."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Callable, Iterable

from itb.datafeeds.archive_layout import BinanceLayout, Period, periods
from itb.market.bars import Bars

from .venue import EXTRAS, Reply

HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,x\n"
)


def as_csv(bars: Bars, *, unit: int = 1, header: bool = False) -> str:
    """Bars as the archive writes them; ``unit`` 1,000 gives times in microseconds."""
    columns = zip(bars.open_time, bars.open, bars.high, bars.low, bars.close, bars.volume, strict=True)
    extras = ",".join(map(str, EXTRAS))
    lines = [
        f"{t * unit},{o:.2f},{h:.2f},{lo:.2f},{c:.2f},{v:.3f},{(t + bars.timeframe.ms) * unit - 1},{extras}\n"
        for t, o, h, lo, c, v in columns
    ]
    return HEADER * header + "".join(lines)


def as_zip(name: str, content: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(zipfile.ZipInfo(f"{name}.csv"), content)
    return packed.getvalue()


class ArchiveSite:
    """Files by path. ``faults`` maps the end of a path to what is done with its replies, first come first served."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.paths: list[str] = []
        self.faults: dict[str, list[Callable[[Reply], Reply]]] = {}
        self.on_request: Callable[[int], None] = lambda count: None
        self.most_at_once = 0
        self._open = 0
        self._lock = threading.Lock()

    def publish(self, bars: Bars, wanted: Iterable[Period], *, symbol: str | None = None, **form: object) -> None:
        """Put the files of some months and days on the site."""
        for period in wanted:
            url = BinanceLayout("").url(symbol or bars.symbol, bars.timeframe, period)
            name = url.rsplit("/", 1)[-1].removesuffix(".zip")
            content = as_csv(bars.between(period.start_ms, period.stop_ms), **form)  # type: ignore[arg-type]
            self.put(url, as_zip(name, content))

    def put(self, path: str, content: bytes) -> None:
        name = path.rsplit("/", 1)[-1]
        self.files[path] = content
        self.files[f"{path}.CHECKSUM"] = f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode()

    def spoil(self, ending: str, change: Callable[[Reply], Reply], times: int = 1) -> None:
        """Change the next replies to paths with this ending."""
        self.faults[ending] = [change] * times

    def answer(self, path: str, query: dict[str, str]) -> Reply:
        with self._lock:
            self.paths.append(path)
            self._open += 1
            self.most_at_once = max(self.most_at_once, self._open)
            self.on_request(len(self.paths))
        try:
            return self._reply(path)
        finally:
            with self._lock:
                self._open -= 1

    def _reply(self, path: str) -> Reply:
        content = self.files.get(path)
        reply = (
            Reply(404, b"NoSuchKey") if content is None else Reply(200, content, {"Content-Type": "application/zip"})
        )
        due = next((changes for ending, changes in self.faults.items() if path.endswith(ending) and changes), None)
        return due.pop()(reply) if due else reply


def months(bars: Bars) -> list[Period]:
    return list(periods("month", int(bars.open_time[0]), int(bars.open_time[-1]) + 1))


def days(bars: Bars) -> list[Period]:
    return list(periods("day", int(bars.open_time[0]), int(bars.open_time[-1]) + 1))
