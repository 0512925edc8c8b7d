"""Funding rates are followed beside everything else: patiently, and told when nobody answers for long."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from itb.live.gateways.ccxt_perpetuals import CcxtPerpetuals
from itb.live.gateways.port import NoAnswerError, RateOutlook, Settlement
from itb.live.gateways.published import PublishedRates
from itb.live.run.health import HealthBoard
from itb.live.run.rates import RateWatch
from tests.live.gateways.perpetual_venue import PerpetualVenue
from tests.live.gateways.test_ccxt_perpetuals import PERP, on_venue

HOUR = 3_600_000
START = 472_224 * HOUR  # a multiple of eight hours


class Failing(PerpetualVenue):
    """Fails at what it is asked about funding, as often as it is told to."""

    def __init__(self, *faults: str) -> None:
        super().__init__("0")
        self.faults = list(faults)
        self.now = START + 7_000

    def strike(self, method: str, path: str) -> str:
        del method
        return self.faults.pop(0) if self.faults and path.endswith(("premiumIndex", "fundingRate")) else ""


def settled(hour: int, rate: str) -> dict[str, Any]:
    return {"symbol": "BTCUSDT", "fundingTime": START + hour * HOUR + 4, "fundingRate": rate, "markPrice": "100.5"}


def followed(venue: PerpetualVenue, rounds: int, passing: Any = None) -> tuple[PublishedRates, list[float], list[str]]:
    """Follow for some rounds; ``passing`` moves the market in each wait."""
    waits, told = list[float](), list[str]()

    async def follow(gateway: CcxtPerpetuals) -> PublishedRates:
        board = HealthBoard(
            lambda: 0, lambda change: told.append(("over: " if change.is_over else "") + change.trouble.text)
        )

        async def hear(*_told: object) -> None:
            return

        async def sleep(seconds: float) -> None:
            waits.append(seconds)
            venue.now += round(seconds * 1_000)
            if passing is not None:
                passing(len(waits))
            if len(waits) == rounds:
                raise asyncio.CancelledError

        watch = RateWatch(gateway, gateway.published, PERP, lambda: venue.now, board, hear, sleep)
        try:
            await watch.run(START)
        except asyncio.CancelledError:
            return gateway.published
        raise AssertionError("it ended by itself")

    return on_venue(venue, follow), waits, told


def test_a_rate_is_asked_for_again_soon_until_it_is_published() -> None:
    venue = Failing()
    venue.now = START - 30_000
    venue.rates = [settled(hour, "0.0001") for hour in (-24, -16, -8)]

    def passing(waits: int) -> None:
        if waits == 4:
            venue.rates.append(settled(0, "0.0007"))

    published, waits, told = followed(venue, 6, passing)
    assert waits == [31.0, 5.0, 5.0, 5.0, 60.0, 60.0]
    assert published.settlement(PERP, START) == Settlement(START, Decimal("0.0007"), Decimal("100.5"))
    asked = [path for path, _ in venue.asked if path.endswith("fundingRate")]
    assert len(asked) == 1 + 4  # at the beginning, and from the settlement on until it is there
    assert told == []


def test_silence_is_told_once_and_what_was_missed_is_there_afterwards() -> None:
    venue = Failing(*["before", "html"] * 3)
    venue.rates = [settled(hour, "0.0001") for hour in (-16, -8, 0)]
    published, waits, told = followed(venue, 8)
    assert waits[:6] == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0]
    assert published.due(PERP, START - 1, START + 1) == Decimal("0.0001")
    first, over = told
    assert first.startswith(f"funding of {PERP} is not told: binanceusdm: ")
    assert first.endswith("what is owed is kept until it is")
    assert over.startswith(f"over: funding of {PERP} is not told")


def test_a_pause_that_the_exchange_asks_for_is_kept() -> None:
    class Busy:
        async def outlook(self, symbol: str) -> RateOutlook:
            raise NoAnswerError(f"{symbol}: 429", retry_at=START + 600_000)

        async def settlements(self, symbol: str, since: int) -> tuple[Settlement, ...]:
            raise AssertionError((symbol, since))

    waits = list[float]()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        raise asyncio.CancelledError

    async def scene() -> None:
        board = HealthBoard(lambda: 0, lambda _change: None)

        async def hear(*_told: object) -> None:
            return

        try:
            await RateWatch(Busy(), PublishedRates(), PERP, lambda: START, board, hear, sleep).run(START)
        except asyncio.CancelledError:
            return

    asyncio.run(scene())
    assert waits == [600.0]
