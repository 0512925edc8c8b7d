"""Binance's perpetuals beside its spot markets, on this machine: bars, mark prices, settlements of funding, income."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from itb.market.bars import Bars

from .venue import WIRE_FAULTS, Faults, Kline, Reply, Venue, as_json, as_klines, daily, walk

HOUR = 3_600_000
PERP = "BTC/USDT:USDT"
Row = dict[str, Any]


def _changed(page: list[Row], name: str, value: object) -> list[Row]:
    place = len(page) // 2
    return [{**row, name: value} if at == place else row for at, row in enumerate(page)]


SETTLED_FAULTS: Mapping[str, Callable[[list[Row]], object]] = {
    "empty page": lambda page: [],
    "object": lambda page: {},
    "null": lambda page: None,
    "numbers": lambda page: [1, 2, 3],
    "rows of nonsense": lambda page: [*page[:1], "x", None, *page[1:]],
    "word for a rate": lambda page: _changed(page, "fundingRate", "high"),
    "NaN": lambda page: _changed(page, "fundingRate", float("nan")),
    "missing rate": lambda page: _changed(page, "fundingRate", None),
    "a rate of 300 %": lambda page: _changed(page, "fundingRate", "3.0"),
    "no time": lambda page: _changed(page, "fundingTime", None),
    "word for a mark": lambda page: _changed(page, "markPrice", "high"),
    "repeats": lambda page: [*page, *page[: len(page) // 2]],
    "backwards": lambda page: page[::-1],
    "short page": lambda page: page[: max(1, len(page) // 3)],
}


def settlements(count: int, start_ms: int, seed: int = 3) -> list[tuple[int, str, str]]:
    """Settlements at distances of 8 and then 4 hours, as an exchange writes them; the oldest have no mark price."""
    rng = np.random.default_rng(seed)
    steps = np.where(np.arange(count) < count // 2, 8, 4) * HOUR
    times = start_ms + np.concatenate(([0], np.cumsum(steps)[:-1]))
    return [
        (
            int(time) + int(rng.integers(0, 9)),
            f"{rng.normal(0, 1e-4):.8f}",
            f"{rng.uniform(1, 2):.8f}" if at > 3 else "",
        )
        for at, time in enumerate(times)
    ]


class Futures(Venue):
    """Spot bars of BTC and ETH, bars and mark prices of BTC's perpetual, and what its holders paid one another.

    A settlement is published ``late_ms`` after its time.
    """

    def __init__(self, hours: Bars, settled: list[tuple[int, str, str]], faults: Faults | None = None) -> None:
        super().__init__(hours, faults)
        self.truth = {
            ("api", "BTCUSDT"): hours,
            **{
                place: walk(len(hours), seed, int(hours.open_time[0]), hours.timeframe)
                for seed, place in enumerate([("api", "ETHUSDT"), ("fapi", "BTCUSDT"), ("mark", "BTCUSDT")], 20)
            },
        }
        self.settled, self.late_ms, self.bans = settled, 0, 0
        self.incomes: list[Row] = []

    def answer(self, path: str, query: dict[str, str]) -> Reply:
        """Answer, and count how often it had to ban who does not wait."""
        reply = super().answer(path, query)
        self.bans += reply.status == 418
        return reply

    def _content(self, path: str, query: dict[str, str]) -> Reply:
        side, name = path.split("/")[1], path.rsplit("/", 1)[-1]
        if name in {"klines", "markPriceKlines"}:
            self.asked.append(query)
            bars = self.truth["mark" if name.startswith("mark") else side, query["symbol"]]
            self._klines: dict[str, list[Kline]] = {str(bars.timeframe): as_klines(bars), "1d": daily(bars)}
            return self._page(query)
        if name == "fundingRate":
            return self._struck([
                {"symbol": "BTCUSDT", "fundingTime": time, "fundingRate": rate, "markPrice": mark}
                for time, rate, mark in self.settled
                if int(query["startTime"]) <= time <= self.now_ms - self.late_ms
            ][: int(query["limit"])])  # fmt: skip
        if name == "premiumIndex":
            following = min((time for time, _, _ in self.settled if time > self.now_ms), default=self.now_ms + 8 * HOUR)
            return as_json({
                "symbol": "BTCUSDT", "markPrice": "1.5", "indexPrice": "1.5", "lastFundingRate": "0.0001",
                "interestRate": "0.0001", "nextFundingTime": following, "time": self.now_ms,
            })  # fmt: skip
        if name == "income":
            return as_json([one for one in self.incomes if one["time"] >= int(query.get("startTime", 0))])
        return super()._content(path, query)

    def _struck(self, page: list[Row]) -> Reply:
        fault = self.faults.next() or ""
        if fault in SETTLED_FAULTS:
            return as_json(SETTLED_FAULTS[fault](page) if page else page)
        reply = as_json(page)
        return WIRE_FAULTS[fault](reply.body) if fault in WIRE_FAULTS else reply
