"""A Binance-like venue on this machine: it knows the truth, and misbehaves on request."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from itb.market.bars import Bars
from itb.market.timeframe import DAY_MS, Timeframe

START = 1_704_067_200_000  # 2024-01-01 00:00 UTC
MINUTE = Timeframe.parse("1m")
PAGE = 1_000
EXTRAS = ("1.0", 7, "0.5", "0.5", "0")

Kline = list[Any]


def walk(n: int, seed: int = 1, start_ms: int = START, timeframe: Timeframe = MINUTE) -> Bars:
    """A seeded random walk with two decimals, so that text and back is exact."""
    rng = np.random.default_rng(seed)
    close = np.round(40_000 * np.exp(np.cumsum(rng.normal(0, 1e-3, n))), 2)
    open_ = np.concatenate(([40_000.0], close[:-1]))
    high = np.round(np.maximum(open_, close) + rng.gamma(2, 5, n), 2)
    low = np.round(np.minimum(open_, close) - rng.gamma(2, 5, n), 2)
    times = start_ms + timeframe.ms * np.arange(n)
    volume = np.round(rng.gamma(2, 3, n), 3)
    return Bars.of("BTC/USDT", timeframe, times, open=open_, high=high, low=low, close=close, volume=volume)


def without(bars: Bars, positions: Iterable[int]) -> Bars:
    """The same bars, some of them gone."""
    keep = np.setdiff1d(np.arange(len(bars)), list(positions))
    columns = {name: values[keep] for name, values in bars.columns.items()}
    return Bars(bars.symbol, bars.timeframe, bars.open_time[keep], columns)


def joined(early: Bars, late: Bars) -> Bars:
    """Two stretches of bars with nothing between."""
    columns = {name: np.concatenate([early[name], late[name]]) for name in early.columns}
    return Bars(early.symbol, early.timeframe, np.concatenate([early.open_time, late.open_time]), columns)


def as_klines(bars: Bars) -> list[Kline]:
    columns = zip(bars.open_time, bars.open, bars.high, bars.low, bars.close, bars.volume, strict=True)
    return [
        [int(t), f"{o:.2f}", f"{h:.2f}", f"{lo:.2f}", f"{c:.2f}", f"{v:.3f}", int(t) + bars.timeframe.ms - 1, *EXTRAS]
        for t, o, h, lo, c, v in columns
    ]


def daily(bars: Bars) -> list[Kline]:
    days = bars.open_time // DAY_MS
    firsts = np.flatnonzero(np.diff(days, prepend=-1))
    return [
        [int(day) * DAY_MS, "100.00", "101.00", "99.00", "100.00", "1.000", int(day + 1) * DAY_MS - 1, *EXTRAS]
        for day in days[firsts]
    ]


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    ending: str = "normal"  # or "hang", "reset", "cut"


def as_json(content: object, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps(content).encode(), {"Content-Type": "application/json", **named})


def _changed(page: Sequence[Kline], column: int, value: object) -> list[Kline]:
    rows = [list(row) for row in page]
    rows[len(rows) // 2][column] = value
    return rows


PAGE_FAULTS: Mapping[str, Callable[[list[Kline]], object]] = {
    "empty page": lambda page: [],
    "object": lambda page: {},
    "null": lambda page: None,
    "numbers": lambda page: [1, 2, 3],
    "rows of nonsense": lambda page: [*page[:1], "x", None, {"a": 1}, *page[1:]],
    "cut row": lambda page: [*page[:-1], page[-1][:3]],
    "word for a price": lambda page: _changed(page, 2, "high"),
    "NaN": lambda page: _changed(page, 4, float("nan")),
    "NaN in quotes": lambda page: _changed(page, 4, "NaN"),
    "missing volume": lambda page: _changed(page, 5, None),
    "negative price": lambda page: _changed(page, 3, "-5.00"),
    "negative volume": lambda page: _changed(page, 5, "-5.0"),
    "high below low": lambda page: _changed(page, 2, "0.01"),
    "off the grid": lambda page: _changed(page, 0, page[len(page) // 2][0] + 1_234),
    "no time": lambda page: _changed(page, 0, None),
    "seconds": lambda page: [[row[0] // 1_000, *row[1:]] for row in page],
    "two versions": lambda page: [*page, [page[0][0], *page[-1][1:]]] if len(page) > 1 else [*page, *page],
    "repeats": lambda page: [*page, *page[: len(page) // 2]],
    "out of order": lambda page: [page[at] for at in np.random.default_rng(3).permutation(len(page))],
    "backwards": lambda page: page[::-1],
    "short page": lambda page: page[: max(1, len(page) // 3)],
    "far away": lambda page: page[-1:] if len(page) == PAGE else [],
}
WIRE_FAULTS: Mapping[str, Callable[[bytes], Reply]] = {
    "too many": lambda body: as_json({"code": -1003, "msg": "Too many requests"}, 429, Retry_After="7"),
    "too many, no hint": lambda body: as_json({"code": -1003, "msg": "Too many requests"}, 429),
    "busy": lambda body: Reply(503),
    "internal": lambda body: as_json({"code": -1000, "msg": "unknown"}, 503),
    "bad gateway": lambda body: Reply(502, b"<html>bad gateway</html>", {"Content-Type": "text/html"}),
    "maintenance page": lambda body: Reply(200, b"<html>back soon</html>", {"Content-Type": "text/html"}),
    "empty body": lambda body: Reply(200),
    "cut JSON": lambda body: Reply(200, body[: len(body) * 2 // 3]),
    "bytes": lambda body: Reply(200, b"\xff\xfe\x00"),
    "hang": lambda body: Reply(ending="hang"),
    "reset": lambda body: Reply(ending="reset"),
    "cut body": lambda body: Reply(200, body, ending="cut"),
}
FAULTS = (*PAGE_FAULTS, *WIRE_FAULTS)


class Faults:
    """Which fault strikes which request: drawn from a seed, never more than two in a row, nor one kind twice."""

    def __init__(self, kinds: Sequence[str] = FAULTS, rate: float = 0.0, seed: int = 0) -> None:
        self.kinds, self.rate = kinds, rate
        self.struck: list[str] = []
        self._rng = np.random.default_rng(seed)
        self._in_a_row = 0

    def next(self) -> str | None:
        if self._in_a_row == 2 or self._rng.random() >= self.rate:
            self._in_a_row = 0
            return None
        self._in_a_row += 1
        others = [kind for kind in self.kinds if kind not in self.struck[-1:]] or self.kinds
        self.struck.append(str(self._rng.choice(others)))
        return self.struck[-1]


class Venue:
    """Exchange information, clock and klines of one market; ``clock_s`` is moved by those who wait.

    A venue that ``skips`` answers from the first bar after a gap, as Binance does; others answer with an empty page.
    ``now_ms`` is the exchange's time: bars that open later do not exist, the last one is running. Asked again before a
    ``Retry-After`` has passed, the venue bans (418), as Binance does.
    """

    def __init__(
        self,
        bars: Bars,
        faults: Faults | None = None,
        now_ms: int | None = None,
        *,
        more: Bars | None = None,
        skips: bool = True,
    ) -> None:
        bars = bars if more is None else joined(bars, more)
        self.bars = bars
        self.skips = skips
        self.faults = faults or Faults()
        self.now_ms = now_ms if now_ms is not None else int(bars.open_time[-1]) + bars.timeframe.ms * 2 // 5
        self.clock_s = 0.0
        self.paths: list[str] = []
        self.asked: list[dict[str, str]] = []
        self.always: Callable[[str], Reply | None] = lambda path: None
        self.on_request: Callable[[int], None] = lambda count: None
        self._klines = {str(bars.timeframe): as_klines(bars), "1d": daily(bars)}
        self._barred_until_s = 0.0
        self._lock = threading.Lock()

    def spoil(self, where: slice, column: int, change: Callable[[Any], Any]) -> None:
        """Change one column of some bars for ever, without telling the truth."""
        for row in self._klines[str(self.bars.timeframe)][where]:
            row[column] = change(row[column])

    def revise(self, positions: Iterable[int]) -> None:
        """Change the volume of closed bars."""
        volume = self.bars.volume.copy()
        volume[list(positions)] += 1.5
        self.bars = self.bars.with_columns(volume=np.round(volume, 3))
        self._klines[str(self.bars.timeframe)] = as_klines(self.bars)

    def wait(self, seconds: float) -> None:
        """Stand in for ``time.sleep``."""
        self.clock_s += seconds

    @property
    def closed(self) -> Bars:
        """What a faithful client has in the end."""
        return self.bars.between(None, self.bars.timeframe.floor(self.now_ms))

    def answer(self, path: str, query: dict[str, str]) -> Reply:
        with self._lock:
            self.paths.append(path)
            self.on_request(len(self.paths))
            if self.clock_s < self._barred_until_s:
                return as_json({"code": -1003, "msg": "IP banned until 1800000000000"}, 418)
            reply = self.always(path) or self._content(path, query)
            if reply.status == 429:
                self._barred_until_s = self.clock_s + float(reply.headers.get("Retry-After", 30))
            return reply

    def _content(self, path: str, query: dict[str, str]) -> Reply:
        name = path.rsplit("/", 1)[-1]
        if name == "klines":
            self.asked.append(query)
            return self._page(query)
        content = {"exchangeInfo": {"symbols": _MARKETS.get(path, [])}, "time": {"serverTime": self.now_ms}}.get(name)
        if content is None:
            return as_json({"code": -1100, "msg": f"no such path {path}"}, 404)
        fault = self.faults.next()
        reply = as_json(content)
        return WIRE_FAULTS[fault](reply.body) if fault and fault in WIRE_FAULTS else reply

    def _page(self, query: dict[str, str]) -> Reply:
        since, limit = int(query["startTime"]), min(PAGE, int(query["limit"]))
        rows = self._klines[query["interval"]]
        first = next((at for at, row in enumerate(rows) if row[0] >= since), len(rows))
        stop_ms = self.now_ms if self.skips else since + limit * Timeframe.parse(query["interval"]).ms - 1
        page = [row for row in rows[first : first + limit] if row[0] <= min(self.now_ms, stop_ms)]
        fault = self.faults.next()
        if fault and fault in PAGE_FAULTS:
            return as_json(PAGE_FAULTS[fault](page) if page else page)
        reply = as_json(page)
        return WIRE_FAULTS[fault](reply.body) if fault else reply


def _market(symbol: str, quote: str, **more: object) -> dict[str, object]:
    base = symbol.removesuffix(quote)
    return {
        "symbol": symbol,
        "pair": symbol,
        "status": "TRADING",
        "baseAsset": base,
        "quoteAsset": quote,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "pricePrecision": 2,
        "quantityPrecision": 3,
        "filters": [],
        **more,
    }


_SPOT = {"isSpotTradingAllowed": True, "permissions": ["SPOT"]}
_PERPETUAL = {"contractType": "PERPETUAL", "marginAsset": "USDT", "deliveryDate": 4_133_404_800_000}
_MARKETS = {
    "/api/v3/exchangeInfo": [_market(f"{base}USDT", "USDT", **_SPOT) for base in ("BTC", "ETH", "XRP")],
    "/fapi/v1/exchangeInfo": [_market("BTCUSDT", "USDT", **_PERPETUAL)],
}
