"""Whole bots in processes of their own, killed at random while the exchange fails: its books are the journal's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from itb.errors import GatewayError
from itb.live.gateways.ccxt_gateway import CcxtGateway
from itb.live.gateways.ccxt_line import Account, open_line
from itb.live.gateways.ccxt_venues import traits_of
from itb.live.gateways.port import Balance, NoAnswerError
from itb.live.invariants import (
    VenueTruth,
    executed_once,
    money_explained,
    never_backwards,
    no_phantom,
    no_stranger,
    same_executions,
)
from itb.live.journal import checkpoint
from itb.live.journal.store import Journal
from itb.live.orders.book import Book
from itb.live.orders.events import Event, Opened
from itb.live.orders.machine import KEPT
from itb.live.orders.rules import Rules
from itb.live.reconcile import drift
from itb.runs.rehearsal import find_exchange
from tests.runs.exchanges import end_exchanges

SYMBOLS = ("BTC/USDT", "ETH/USDT")
SPEED, BARS, TRAIN = 60, 400, 2_000
SETTINGS = (
    "data.timeframe=1m", f"data.symbols={list(SYMBOLS)}", f"synthetic.bars={TRAIN + 1_000 + BARS}", "model.rounds=20",
    f"walkforward.train={TRAIN}", "walkforward.refit_every=10000000", "walkforward.workers=1", "live.retrain=false",
    "strategy.buy_threshold=0.5", "strategy.sell_threshold=0.49", "strategy.stop_loss=0.002",
)  # fmt: skip
COMMAND = (
    sys.executable, "-c", "from itb.cli import main; main()", "live", "--practice", "--json", "--speed", str(SPEED),
    "--faults", "all=20", "--bars", str(BARS), *(part for text in SETTINGS for part in ("--set", text)),
)  # fmt: skip
PATIENCE_S, _HOUR_MS = 600, 3_600_000


def live_and_die(folder: Path, kills: int, seed: int) -> Path:
    """Kill a bot again and again, somewhere in its life; the last life goes on to the end of the market."""
    home, random = folder / "runs" / "live" / "bot-practice", np.random.default_rng(seed)
    with (folder / "bot.log").open("ab") as log:
        for _ in range(kills):
            before = lives(home)
            bot = subprocess.Popen(COMMAND, cwd=folder, stdout=log, stderr=log)
            end = time.monotonic() + PATIENCE_S
            while lives(home) == before and time.monotonic() < end:
                assert bot.poll() is None, (folder / "bot.log").read_text()[-2_000:]
                time.sleep(0.05)
            time.sleep(random.uniform(0, 12))
            os.kill(bot.pid, signal.SIGKILL)
            assert bot.wait() in {0, -signal.SIGKILL}
        done = subprocess.run(COMMAND, cwd=folder, stdout=log, stderr=log, timeout=2 * PATIENCE_S, check=False)
    assert done.returncode == 0, (folder / "bot.log").read_text()[-2_000:]
    return home


def events_of(home: Path) -> list[Event]:
    with Journal(home / "journal.sqlite") as journal:
        return list(journal.events())


def lives(home: Path) -> int:
    """Give how many lives have begun; a journal that is just being made counts as none."""
    if not (home / "journal.sqlite").exists():
        return 0
    with contextlib.closing(sqlite3.connect(home / "journal.sqlite")) as journal:
        try:
            told = journal.execute("SELECT count(*) FROM events WHERE kind IN ('opened', 'restarted')")
            return int(told.fetchone()[0])
        except sqlite3.OperationalError:
            return 0


CHECKS = (executed_once, no_stranger, no_phantom, same_executions, money_explained)


async def truth_of(url: str, opened: Opened) -> VenueTruth:
    """Ask an exchange for all that it knows."""
    now = opened.time
    line = open_line(traits_of("binance", SYMBOLS), Account(practice_url=url, speed=float(SPEED)))
    try:
        gateway = CcxtGateway(line, lambda: now)
        now = await gateway.server_time()
        since = opened.time - _HOUR_MS  # a day of the past is a page, so not from the beginning of time
        orders = [order for symbol in SYMBOLS for order in await gateway.orders_since(symbol, since)]
        trades = [trade for symbol in SYMBOLS for trade in await gateway.trades_since(symbol, since)]
        held = {one.currency: one.total for one in await gateway.balances()}
    finally:
        await line.close()
    return VenueTruth(orders, trades, held, dict(opened.balances))


def found_at(home: Path, url: str) -> list[str]:
    """Compare journal and exchange; an answer that is stale or cut short is asked for again."""
    events = events_of(home)
    opened = next(event for event in events if isinstance(event, Opened))
    book = Book().replay(events)
    found = ["never asked"]
    for _ in range(40):
        try:
            truth = asyncio.run(truth_of(url, opened))
        except (NoAnswerError, GatewayError) as error:
            found = [f"no answer: {error}"]
            continue
        held = [Balance(name, amount, Decimal(0)) for name, amount in truth.balances.items()]
        found = [violation for check in CHECKS for violation in check(book, truth)]
        found += [f"I5 {name}: {gap}" for name, gap in drift(book, held).items()]  # it keeps money with 8 decimals
        if not found:
            break
    return found


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(4))
def test_a_bot_that_is_killed_five_times_under_faults_loses_and_doubles_nothing(seed: int, tmp_path: Path) -> None:
    home = tmp_path / "runs" / "live" / "bot-practice"
    try:
        live_and_die(tmp_path, kills=5, seed=seed)
        exchange = find_exchange(home)
        assert exchange is not None
        assert lives(home) == 6
        assert found_at(home, exchange.url) == []
        events = events_of(home)
        book = Book().replay(events)
        assert never_backwards(events, Rules()) == []
        assert sum(len(order.fills) for order in book.orders.values()) > 10
        assert all(amount >= 0 for amount in book.positions.values())
        assert sum(book.balances.values()) > Decimal(0)
        with Journal(home / "journal.sqlite") as journal:
            again = Book(Rules(margin_ms=3_000 * SPEED), KEPT)
            number, _ = checkpoint.load(journal, again)
            assert again.replay(journal.events(after=number)).balances == book.balances
    finally:
        end_exchanges(home)
