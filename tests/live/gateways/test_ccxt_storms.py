"""Random orders on the practice exchange through ccxt, while anything may break: none lost, none doubled."""

from __future__ import annotations

import asyncio
import logging
from decimal import Decimal
from pathlib import Path

import pytest

from itb.live.invariants import no_secret
from itb.live.orders.state import Phase
from itb.live.practice.faults import KINDS
from itb.live.run.redaction import hide
from tests.live.conftest import journal_file
from tests.live.gateways.practised import Practised

__all__ = ["journal_file"]
# Those that ask for a second of silence by the wall's clock come in tests of their own.
KEPT = [kind for kind, moment in KINDS.items() if moment != "klines" and kind not in {"ban", "rate_limit"}]
STORM = ",".join(f"{kind}={1 if kind == 'maintenance' else 6}" for kind in KEPT)
CANARIES = ("canary-key-7f3a91", "canary-secret-c0ffee")


def storm(file: Path, orders: int, seed: int, faults: str = STORM, *, news: bool = False) -> Practised:
    """Trade at random under faults, then let everything settle."""
    bot = Practised(file, faults, seed)

    async def scene() -> None:
        async with bot.running(news=news):
            await bot.trade(orders)
            await bot.settle()
            assert bot.violations() == []

    asyncio.run(scene())
    return bot


@pytest.mark.parametrize("news", [False, True], ids=["polled", "told"])
def test_a_storm_of_faults_loses_and_doubles_no_order(journal_file: Path, news: bool) -> None:
    bot = storm(journal_file, 60, seed=3, news=news)
    assert len(bot.exchange.venue.orders) >= 25  # how late news come is the wall's to say
    assert news or bot.exchange.venue.lists
    assert len(bot.exchange.faults.log) > 0.02 * bot.line.requests
    assert len({fault.kind for fault in bot.exchange.faults.log}) > 4


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_a_long_storm_of_faults_loses_and_doubles_no_order(journal_file: Path, seed: int) -> None:
    storm(journal_file, 2_000, seed, STORM + ",ban=0.2,rate_limit=0.2", news=seed % 2 == 0)


@pytest.mark.parametrize("kind", [kind for kind, moment in KINDS.items() if moment not in {"klines", "frame"}])
def test_every_fault_alone_ends_in_one_execution(journal_file: Path, kind: str) -> None:
    """It strikes at several chances: before, at and after the order; silence of a second each comes once."""
    chances = (4,) if kind in {"ban", "rate_limit"} else (2, 4, 6, 9, 13)
    bot = Practised(journal_file, ",".join(f"{kind}@{chance}" for chance in chances), seed=3)

    async def scene() -> None:
        async with bot.running(news=KINDS[kind] == "event"):
            keys = [bot.dealer.ask(bot.intent(qty="1.5")), bot.dealer.ask(bot.intent("limit", price=Decimal("101.00")))]
            await bot.pulse(16)
            await bot.settle()
            assert bot.violations() == []
            phases = {bot.dealer.book.orders[key].phase for key in keys}
            assert phases <= {Phase.FILLED, Phase.CANCELED} | ({Phase.REJECTED} if kind == "balance_race" else set())

    asyncio.run(scene())
    assert KINDS[kind] in {"event", "query"} or kind in {fault.kind for fault in bot.exchange.faults.log}


def test_nothing_is_sent_while_the_exchange_wants_silence(journal_file: Path) -> None:
    """I8, by what the exchange saw."""
    bot = Practised(journal_file, "ban@3,rate_limit@9", seed=4)
    seen: list[tuple[float, int]] = []
    count = bot.exchange.meter.count

    def counting(weight: int, wall_ms: int, *, is_order: bool, address: str = "127.0.0.1") -> None:
        seen.append((wall_ms, bot.exchange.meter._banned_until))
        count(weight, wall_ms, is_order=is_order, address=address)

    bot.exchange.meter.count = counting  # type: ignore[method-assign]

    async def scene() -> None:
        async with bot.running():
            await bot.trade(5)
            await bot.settle()
            assert bot.violations() == []

    asyncio.run(scene())
    assert {fault.kind for fault in bot.exchange.faults.log} == {"ban", "rate_limit"}
    assert [one for one in seen if one[0] < one[1]] == []


def test_no_key_or_signature_is_ever_written(journal_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """I9, with everything that logs at its most talkative and requests failing in every way."""
    bot = Practised(journal_file, STORM, seed=5, keys=CANARIES)
    restore = hide(())
    caplog.set_level(logging.DEBUG)
    for name in ("ccxt", "ccxt.base.exchange", "aiohttp", "asyncio"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    signatures: set[str] = set()
    check = bot.exchange.guard.check_signature

    def remember(payload: str, signature: str | None) -> None:
        signatures.add(signature or "")
        check(payload, signature)

    bot.exchange.guard.check_signature = remember  # type: ignore[method-assign]

    async def scene() -> None:
        async with bot.running(news=True):
            await bot.trade(40)
            await bot.settle()
            bot.line.client.secret = CANARIES[1] + "x"  # a wrong one: every request is refused from here on
            bot.dealer.ask(bot.intent())
            await bot.pulse(4)

    try:
        asyncio.run(scene())
    finally:
        restore()
    texts = {f"log {i}": f"{r.getMessage()} {r.exc_text} {r.exc_info}" for i, r in enumerate(caplog.records)}
    texts |= {"journal": journal_file.read_bytes().decode("latin-1"), "shown": caplog.text}
    texts |= {"line": repr(bot.line.account), "reasons": str([o.reason for o in bot.dealer.book.orders.values()])}
    assert sum("ccxt" in record.name for record in caplog.records) > 50
    assert len(signatures) > 50
    assert no_secret(texts, {*CANARIES, *(one for one in signatures if one)}) == []
