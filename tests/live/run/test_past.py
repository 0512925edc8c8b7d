"""What a journal alone tells of a bot: orders, trades, balances, how it was; and nothing can be done to it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from itb.errors import JournalError
from itb.live.cockpit import Status
from itb.live.gateways.port import Side, VenueOrder, VenueTrade
from itb.live.journal.store import Journal
from itb.live.orders import events as ev
from itb.live.orders.intent import Intent
from itb.live.run.past import JournalCockpit
from itb.live.run.socket_file import NotRunningError

D = Decimal


def order(number: int, side: Side, qty: str, *, reason: str = "signal") -> tuple[list[ev.Event], Intent]:
    """Ask for, send and get an order accepted."""
    time = number * 60_000
    intent = Intent("s", "BTC/USDT", time, side, "market", D(qty), reference_price=D(100), reason=reason, asked_at=time)
    client = f"c{number}"
    seen = VenueOrder(client, f"v{number}", "BTC/USDT", side, "market", D(qty), D(0), "open")
    return [
        ev.Asked(time, intent), ev.Sending(time, intent.key, client, time, 5000),
        ev.Answered(time + 1, client, "accepted", "", seen),
    ], intent  # fmt: skip


def done(number: int, side: Side, qty: str, price: str, fee: str, currency: str = "USDT") -> list[ev.Event]:
    """Have an order executed and ended."""
    time = number * 60_000 + 2
    trade = VenueTrade(str(number), f"v{number}", "BTC/USDT", side, D(qty), D(price), D(fee), currency, time)
    return [
        ev.Traded(time, trade),
        ev.Saw(time, VenueOrder(f"c{number}", f"v{number}", "BTC/USDT", side, "market", D(qty), D(qty), "filled")),
    ]  # fmt: skip


@pytest.fixture
def journal(journal_file: Path) -> Path:
    """A trade won, a position open with its fee in coins, an order without an end, a pause."""
    events: list[ev.Event] = [ev.Opened(5, "demo", (("USDT", D(1000)),))]
    for number, side, price, reason in ((1, "buy", "100", "entry"), (2, "sell", "110", "target")):
        events += order(number, side, "2", reason=reason)[0]  # type: ignore[arg-type]
        events += done(number, side, "2", price, "0.2")  # type: ignore[arg-type]
    events += [*order(3, "buy", "1")[0], *done(3, "buy", "1", "120", "0.001", "BTC"), ev.Valued(190_000, D(1018))]
    events += [ev.Restarted(200_000), *order(4, "sell", "0.5")[0], ev.Halted(250_000, "paused by terminal")]
    with Journal(journal_file) as journal:
        journal.append(events)
    return journal_file


def test_orders_are_listed_with_the_newest_finished_ones(journal: Path) -> None:
    cockpit = JournalCockpit("demo", journal)
    (open_order,) = cockpit.orders()
    assert (open_order.client_id, open_order.side, open_order.phase, open_order.filled) == ("c4", "sell", "open", D(0))
    assert [one.client_id for one in cockpit.orders(2)] == ["c2", "c3", "c4"]
    assert [one.phase for one in cockpit.orders(99)] == ["filled", "filled", "filled", "open"]


def test_trades_follow_from_the_executions(journal: Path) -> None:
    closed, still = JournalCockpit("demo", journal).trades()
    assert (closed.side, closed.qty, closed.entry_price, closed.exit_price) == ("long", D(2), D(100), D(110))
    assert (closed.fees, closed.exit_reason) == (D("0.4"), "target")
    assert float(closed.profit or 0) == pytest.approx(19.6)
    assert closed.return_ == pytest.approx(19.6 / 200)
    assert (closed.entry_time, closed.exit_time, closed.is_open) == (60_002, 120_002, False)
    assert (still.qty, still.is_open, still.profit) == (D("0.999"), True, None)
    assert JournalCockpit("demo", journal).trades(1) == (still,)
    assert JournalCockpit("demo", journal).trades(0) == ()


def test_balances_are_exact(journal: Path) -> None:
    held = {line.currency: line.total for line in JournalCockpit("demo", journal).balance()}
    assert held == {"USDT": D(1000) - 200 - D("0.2") + 220 - D("0.2") - 120, "BTC": D("0.999")}


def test_the_status_is_how_it_was(journal: Path) -> None:
    seen = JournalCockpit("demo", journal).status()
    assert (seen.bot, seen.is_running, seen.health, seen.reasons) == ("demo", False, "HALTED", ("paused by terminal",))
    assert (seen.started_at, seen.time, seen.open_orders) == (200_000, 250_000, 1)
    assert (seen.equity, seen.peak) == (D(1018), D(1018))
    (position,) = seen.positions
    assert (position.qty, position.entry_price) == (D("0.999"), D(120))
    (strategy,) = seen.strategies
    assert (strategy.name, strategy.trades) == ("s", 1)
    assert float(strategy.profit) == pytest.approx(19.6)


def test_a_bot_that_does_not_run_cannot_be_steered(journal: Path) -> None:
    cockpit = JournalCockpit("demo", journal)
    with pytest.raises(NotRunningError, match="terminal: pause: the bot 'demo' does not run"):
        cockpit.pause("terminal")
    with pytest.raises(NotRunningError, match="terminal: resume"):
        cockpit.resume("terminal")
    with pytest.raises(NotRunningError, match="terminal: close BTC/USDT"):
        cockpit.close("terminal", symbol="BTC/USDT")
    with pytest.raises(NotRunningError, match="terminal: cancel and stop"):
        cockpit.stop("terminal", cancel=True)


def test_a_journal_that_is_empty_missing_or_damaged(journal_file: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal; has the bot 'demo' run yet"):
        JournalCockpit("demo", journal_file)
    assert not journal_file.exists()
    Journal(journal_file).close()
    cockpit = JournalCockpit("demo", journal_file)
    assert cockpit.status() == Status("demo", is_running=False)
    assert (cockpit.orders(5), cockpit.trades(), cockpit.balance()) == ((), (), ())
    journal_file.write_bytes(b"not a database" * 100)
    with pytest.raises(JournalError, match="restore"):
        JournalCockpit("demo", journal_file)
