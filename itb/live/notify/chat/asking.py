"""Commands that only look: what the bot does, holds, earned and thinks."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Any

import itb
from itb.charts.wording import DASH, duration, number, percent, significant
from itb.live.notify.chat.command import Answer, Asking, WrongWordsError
from itb.live.notify.people import grouped

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from itb.live.cockpit import Status, TradeLine
    from itb.live.notify.chat.bridge import ModelLine

_SIGNS = {"NORMAL": "🟢", "DEGRADED": "🟡", "HALTED": "🔴"}
_ALL = 100_000  # trades that figures are made of


def status(asking: Asking, arguments: tuple[str, ...]) -> Answer:
    """Say what the bot does and holds; or all about one position."""
    now = asking.bridge.status()
    if arguments:
        return _position(asking, now, arguments[0])
    lines = [f"{_SIGNS[now.health]} <b>{escape(now.bot)}</b> {escape(now.mode)}, {now.health.lower()}"]
    lines += [f"⚠️ {escape(reason)}" for reason in now.reasons]
    lines += [f"⏳ waits for {escape(what)}" for what in now.waiting_for]
    if now.equity is not None:
        day = "" if not now.day_start else f", today {percent(float(now.equity / now.day_start - 1), 2)}"
        lines.append(f"Account {_amount(now.equity)}{day}")
    held = [(one.symbol, _qty(one.qty), _price(one.price), _signed(one.profit)) for one in now.positions if one.qty]
    lines.append(_table(("market", "qty", "price", "gain"), held) or "Nothing is held.")
    lines += [
        f"{escape(one.symbol)} {significant(float(one.close), 6)} at {asking.people.clock(one.open_time)}"
        for one in now.bars
    ]
    return Answer("\n".join(lines), then=("status", "trades", "profit"))


def _position(asking: Asking, now: Status, symbol: str) -> Answer:
    found = next((one for one in now.positions if one.symbol.lower() == symbol.lower() and one.qty), None)
    if found is None:
        held = ", ".join(one.symbol for one in now.positions if one.qty) or "nothing"
        raise WrongWordsError(f"{symbol} is not held; held is {held}")
    side = "long" if found.qty > 0 else "short"
    lines = [
        f"<b>{escape(found.symbol)}</b> {side} {_qty(abs(found.qty))}, strategy {escape(found.strategy)}",
        f"since {asking.people.clock(found.entry_time)}, {duration(asking.now - found.entry_time)}",
        f"{_price(found.entry_price)} → {_price(found.price)}, gain {_signed(found.profit)}",
    ]
    orders = [one for one in asking.bridge.orders() if one.symbol == found.symbol]
    lines += [f"{one.kind} {one.side} {_qty(one.qty)} at {_price(one.stop_price or one.price)}" for one in orders]
    return Answer("\n".join(lines))


def profit(asking: Asking, arguments: tuple[str, ...]) -> Answer:
    """Say what closed trades brought, all in all or in the last days."""
    days = _count(arguments, 0, "days")
    closed = _closed(asking)
    if days:
        closed = [trade for trade in closed if trade.exit_time > asking.now - days * 86_400_000]
    head = f"<b>Profit{f' of {days} days' if days else ''}</b>"
    if not closed:
        return Answer(f"{head}\nNo trade was closed.")
    gains = [trade.profit or Decimal(0) for trade in closed]
    won = sum(gain > 0 for gain in gains)
    best, worst = max(closed, key=_return), min(closed, key=_return)
    held = sum(trade.exit_time - trade.entry_time for trade in closed) / len(closed)
    return Answer(
        f"{head}\n{_signed(sum(gains, Decimal(0)))} in {len(closed)} trades, {won} won ({won / len(closed):.0%})\n"
        f"best {escape(best.symbol)} {percent(_return(best))}, worst {escape(worst.symbol)} {percent(_return(worst))}\n"
        f"fees {_amount(sum((trade.fees for trade in closed), Decimal(0)))}, held for {duration(held)} on average",
        then=("daily", "performance"),
    )


def daily(asking: Asking, arguments: tuple[str, ...]) -> Answer:
    """Say what each of the last days brought."""
    return _periods(asking, "day", _count(arguments, 7, "days"))


def weekly(asking: Asking, arguments: tuple[str, ...]) -> Answer:
    """Say what each of the last weeks brought."""
    return _periods(asking, "week", _count(arguments, 8, "weeks"))


def monthly(asking: Asking, arguments: tuple[str, ...]) -> Answer:
    """Say what each of the last months brought."""
    return _periods(asking, "month", _count(arguments, 6, "months"))


def _periods(asking: Asking, unit: str, count: int) -> Answer:
    trades: dict[date, list[TradeLine]] = defaultdict(list)
    for trade in _closed(asking):
        trades[_begin(asking.people.local(trade.exit_time).date(), unit)].append(trade)
    begin, rows = _begin(asking.people.local(asking.now).date(), unit), []
    for _ in range(count):
        inside = trades[begin]
        rows.append(
            (begin.isoformat(), _signed(sum((t.profit or Decimal(0) for t in inside), Decimal(0))), str(len(inside)))
        )
        begin = _begin(begin - timedelta(days=1), unit)
    return Answer(f"<b>By {unit}</b>\n{_table((unit, 'gain', 'trades'), rows)}")


def _begin(day: date, unit: str) -> date:
    if unit == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if unit == "month" else day


def performance(asking: Asking, _: tuple[str, ...]) -> Answer:
    """Say what each market brought, best first."""
    by_symbol: dict[str, list[TradeLine]] = defaultdict(list)
    for trade in _closed(asking):
        by_symbol[trade.symbol].append(trade)
    sums = {symbol: sum((t.profit or Decimal(0) for t in inside), Decimal(0)) for symbol, inside in by_symbol.items()}
    rows = [
        (symbol, _signed(sums[symbol]), str(len(by_symbol[symbol]))) for symbol in sorted(sums, key=lambda s: -sums[s])
    ]
    return Answer(f"<b>By market</b>\n{_table(('market', 'gain', 'trades'), rows) or 'No trade was closed.'}")


def balance(asking: Asking, _: tuple[str, ...]) -> Answer:
    """Say what the account holds."""
    rows = [
        (one.currency, _qty(one.total), DASH if one.value is None else _amount(one.value))
        for one in asking.bridge.balance()
    ]
    equity = asking.bridge.status().equity
    total = "" if equity is None else f"\nTogether {_amount(equity)}"
    return Answer(f"<b>Balance</b>\n{_table(('currency', 'amount', 'worth'), rows) or 'Nothing.'}{total}")


def count(asking: Asking, _: tuple[str, ...]) -> Answer:
    """Say how many positions and orders there are."""
    now = asking.bridge.status()
    held = sum(1 for one in now.positions if one.qty)
    return Answer(f"{held} positions, {now.open_orders} open orders, {len(asking.bridge.symbols())} markets")


def trades(asking: Asking, arguments: tuple[str, ...]) -> Answer:
    """List the newest trades."""
    shown = asking.bridge.trades(_count(arguments, 10, "trades"))
    rows = [
        (asking.people.local(t.entry_time).strftime("%d %b"), t.symbol, t.side,
         "open" if t.is_open else percent(_return(t)), _signed(t.profit))
        for t in shown
    ]  # fmt: skip
    return Answer(f"<b>Trades</b>\n{_table(('entered', 'market', 'side', '%', 'gain'), rows) or 'There was none.'}")


def orders(asking: Asking, _: tuple[str, ...]) -> Answer:
    """List the open orders with the keys that cancel them."""
    rows = [
        f"<code>{escape(o.key)}</code> {o.kind} {o.side} {_qty(o.qty)} {escape(o.symbol)} at "
        f"{_price(o.stop_price or o.price)}, {escape(o.phase)}"
        for o in asking.bridge.orders()
    ]
    return Answer("<b>Orders</b>\n" + ("\n".join(rows) or "There is none."))


def show_config(asking: Asking, arguments: tuple[str, ...]) -> Answer:
    """Show the config in force, or one section, without secrets."""
    tables: Mapping[str, Any] = asking.bridge.config()
    if arguments and arguments[0] not in tables:
        raise WrongWordsError(f"no section {arguments[0]}; there are {', '.join(tables)}")
    chosen = {arguments[0]: tables[arguments[0]]} if arguments else tables
    lines = [f"{name} = {value}" for name, value in _flat(chosen)]
    return Answer(f"<pre>{escape(chr(10).join(lines))}</pre>")


def _flat(value: Any, at: str = "") -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _flat(item, f"{at}.{name}" if at else str(name))
    else:
        yield at, value


def whitelist(asking: Asking, _: tuple[str, ...]) -> Answer:
    """List the markets that may be traded."""
    return Answer("<b>Traded</b>\n" + (escape("\n".join(asking.bridge.symbols())) or "None."))


def locks(asking: Asking, _: tuple[str, ...]) -> Answer:
    """List the markets that protections have locked."""
    lines = [
        f"{escape(one.symbol)} until {asking.people.clock(one.until)}: {escape(one.reason)}"
        for one in asking.bridge.locks()
    ]
    return Answer("\n".join(lines) or "Nothing is locked.")


def logs(asking: Asking, arguments: tuple[str, ...]) -> Answer:
    """Show the newest lines of the log."""
    lines = asking.bridge.logs(_count(arguments, 10, "lines"))
    return Answer(f"<pre>{escape(chr(10).join(lines)) or 'Nothing.'}</pre>")


def health(asking: Asking, _: tuple[str, ...]) -> Answer:
    """Say what is wrong and what is waited for."""
    now = asking.bridge.status()
    running = duration(asking.now - now.started_at) if now.started_at else DASH
    lines = [f"{_SIGNS[now.health]} {now.health.lower()}, running for {running}, {grouped(now.steps)} bars decided on"]
    lines += [f"⚠️ {escape(reason)}" for reason in now.reasons]
    lines += [f"⏳ waits for {escape(what)}" for what in now.waiting_for]
    return Answer("\n".join(lines))


def version(_: Asking, __: tuple[str, ...]) -> Answer:
    """Say which itb this is."""
    return Answer(f"itb {itb.__version__}")


def chart(asking: Asking, arguments: tuple[str, ...]) -> Answer:
    """Draw a market and its score."""
    symbol = _symbol(asking, arguments)
    return Answer(escape(symbol), drawing=asking.bridge.drawing(symbol))


def score(asking: Asking, arguments: tuple[str, ...]) -> Answer:
    """Say what the models think of a market."""
    symbol = _symbol(asking, arguments)
    said = [one for one in asking.bridge.status().scores if one.symbol == symbol]
    rows = [(one.column, DASH if one.value is None else number(one.value, 3, signed=True)) for one in said]
    at = f", bar of {asking.people.clock(max(one.open_time for one in said))}" if said else ""
    return Answer(f"<b>{escape(symbol)}</b>{at}\n{_table(('column', 'score'), rows) or 'No model has spoken yet.'}")


def model(asking: Asking, _: tuple[str, ...]) -> Answer:
    """Say how old the models are, how good, and when the next ones come."""
    lines = []
    for one in asking.bridge.models():
        lines.append(f"<b>{escape(one.column)}</b>")
        lines.append(
            f"knows bars until {asking.people.clock(one.trained_until)}, {duration(asking.now - one.trained_until)} ago"
        )
        lines += [f"next one due {asking.people.clock(one.next_refit)}"] if one.next_refit else []
        lines += [f"expires {asking.people.clock(one.expires)}"] if one.expires else []
        lines += [escape(one.skill)] if one.skill else []
        if one.challenger_at:
            lines.append(f"challenger of {asking.people.clock(one.challenger_at)} beside it{_distance(one)}")
    return Answer("\n".join(lines) or "No model speaks.")


def _distance(line: ModelLine) -> str:
    if not line.challenger_bars:
        return ""
    apart = significant(line.challenger_distance, 3)
    return f", mean difference {apart} on {grouped(line.challenger_bars)} bars"


def shadow(asking: Asking, _: tuple[str, ...]) -> Answer:
    """Compare the strategy with those that are only watched."""
    rows = [
        (f"{one.name} (watched)" if one.is_shadow else one.name, DASH if one.equity is None else _amount(one.equity),
         _signed(one.profit), str(one.trades))
        for one in asking.bridge.status().strategies
    ]  # fmt: skip
    return Answer(_table(("strategy", "worth", "gain", "trades"), rows) or "There is only one strategy.")


def scoreboard(asking: Asking, _: tuple[str, ...]) -> Answer:
    """Say how what was sent turned out."""
    return Answer(f"<pre>{escape(asking.bridge.scoreboard())}</pre>")


def optimize(asking: Asking, _: tuple[str, ...]) -> Answer:
    """Say how far searches for parameters are."""
    return Answer("The studies are being read.", work=asking.bridge.search)


def backtest(asking: Asking, arguments: tuple[str, ...]) -> Answer:
    """Backtest the last days and send the picture."""
    bridge, by, days = asking.bridge, asking.by, _count(arguments, 30, "days")
    told = f"A backtest of the last {days} days has begun; its picture follows."
    return Answer(told, work=lambda: bridge.backtest(by, days))


# -- wording


def _closed(asking: Asking) -> list[TradeLine]:
    return [trade for trade in asking.bridge.trades(_ALL) if not trade.is_open]


def _return(trade: TradeLine) -> float:
    return 0.0 if trade.return_ is None else trade.return_


def _count(arguments: tuple[str, ...], usual: int, what: str) -> int:
    if not arguments:
        return usual
    if not arguments[0].isdecimal() or not 1 <= int(arguments[0][:6]) <= 365:
        raise WrongWordsError(f"expected a number of {what} from 1 to 365, was {arguments[0]}")
    return int(arguments[0])


def _symbol(asking: Asking, arguments: tuple[str, ...]) -> str:
    return known_symbol(asking, arguments[0] if arguments else "")


def known_symbol(asking: Asking, name: str) -> str:
    """Find a market by what a person calls it: ``btc``, ``BTCUSDT`` or ``BTC/USDT``; the only one needs no name."""
    there = asking.bridge.symbols()
    if not name and len(there) == 1:
        return there[0]
    wanted = name.upper().replace("/", "").replace(":", "")
    plain = {one: one.upper().replace("/", "").replace(":", "") for one in there}
    found = [one for one in there if wanted in (plain[one], one.upper().partition("/")[0])]
    if len(found) != 1:
        raise WrongWordsError(f"expected one of {', '.join(there)}, was {name or 'nothing'}")
    return found[0]


def _amount(value: Decimal) -> str:
    return number(float(value), 2)


def _signed(value: Decimal | None) -> str:
    return DASH if value is None else number(float(value), 2, signed=True)


def _price(value: Decimal | None) -> str:
    return DASH if value is None else significant(float(value), 6)


def _qty(value: Decimal) -> str:
    return significant(float(value), 6)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write rows under heads in letters of one width, about 36 of which fit on a phone; empty without rows."""
    if not rows:
        return ""
    widths = [max(len(row[n]) for row in (heads, *rows)) for n in range(len(heads))]
    lines = [
        " ".join(
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (heads, *rows)
    ]
    return f"<pre>{escape(chr(10).join(line.rstrip() for line in lines))}</pre>"
