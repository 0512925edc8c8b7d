"""What the practice exchange shows of its markets: bars of any length, tickers, depth, trades."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from itb.live.practice import refusals
from itb.live.practice.refusals import RefusedError
from itb.live.practice.wording import number
from itb.market.timeframe import DAY_MS, Timeframe

if TYPE_CHECKING:
    from decimal import Decimal

    from itb.live.practice.tape import Tape

INTERVALS = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w")
MOST = 1000
_PARTS = 4


def interval(text: str | None, tape: Tape) -> Timeframe:
    """Read an interval; refuse one that the tape's bars do not make up."""
    if text not in INTERVALS or text == "3d":
        raise RefusedError(refusals.BAD_INTERVAL)
    frame = Timeframe.parse(text)
    if not frame.is_multiple_of(tape.timeframe):
        raise RefusedError(refusals.BAD_INTERVAL)
    return frame


def klines(tape: Tape, frame: Timeframe, now: int, start: int | None, stop: int | None, limit: int) -> list[list[Any]]:
    """Give bars as GET /klines does, the running one last; ``start`` and ``stop`` bound their open times."""
    limit = max(1, min(limit, MOST))
    times = tape.bars.open_time
    if start is None:
        last = now if stop is None else min(now, stop)
        first_ms = frame.floor(last) - (limit - 1) * frame.ms
        first = int(np.searchsorted(times, first_ms))
        reach = limit * frame.ms
        while first > 0 and _groups(times[first : tape.bar + 2], frame, last) < limit:  # there are gaps
            reach *= 2
            first = int(np.searchsorted(times, frame.floor(last) - reach))
    else:
        first = int(np.searchsorted(times, frame.floor(start + frame.ms - 1)))
    columns = tape.rows(first, now)
    if not len(columns["open_time"]):
        return []
    rows = _aggregate(columns, frame)
    if stop is not None:
        rows = [row for row in rows if row[0] <= stop]
    return rows[:limit] if start is not None else rows[-limit:]


def _groups(times: np.ndarray, frame: Timeframe, last: int) -> int:
    opens = frame.floor(times[times <= last])
    return int(np.count_nonzero(np.diff(opens)) + 1) if len(opens) else 0


def _aggregate(columns: dict[str, np.ndarray], frame: Timeframe) -> list[list[Any]]:
    opens = frame.floor(columns["open_time"])
    starts = np.flatnonzero(np.concatenate([[True], np.diff(opens) != 0]))
    ends = np.concatenate([starts[1:], [len(opens)]]) - 1
    volume = np.add.reduceat(columns["volume"], starts)
    stand_ins = {
        "quote_volume": columns["volume"] * columns["close"],
        "trades": np.full(len(opens), float(_PARTS)),
        "taker_buy_base": columns["volume"] / 2,
    }
    extras = (np.where(np.isfinite(got := columns.get(name, other)), got, other) for name, other in stand_ins.items())
    quote, trades, taker = (np.add.reduceat(values, starts) for values in extras)
    high, low = np.maximum.reduceat(columns["high"], starts), np.minimum.reduceat(columns["low"], starts)
    found: list[list[Any]] = []
    for i, (first, end) in enumerate(zip(starts, ends, strict=True)):
        mean = quote[i] / volume[i] if volume[i] else columns["close"][end]
        found.append([
            int(opens[first]), number(columns["open"][first]), number(high[i]), number(low[i]),
            number(columns["close"][end]), number(volume[i]), int(opens[first]) + frame.ms - 1, number(quote[i]),
            int(trades[i]), number(taker[i]), number(taker[i] * mean), "0",
        ])  # fmt: skip
    return found


def best(tape: Tape, now: int) -> tuple[Decimal, Decimal]:
    """Give best bid and ask: orders trade at the ask, which is the last price; the bid stands a tick below."""
    price = tape.at(now)
    return max(tape.rules.tick, price - tape.rules.tick), price


def book_ticker(tape: Tape, now: int) -> dict[str, str]:
    """Word GET /ticker/bookTicker."""
    bid, ask = best(tape, now)
    size = number(_size(tape))
    return {"symbol": tape.id, "bidPrice": number(bid), "bidQty": size, "askPrice": number(ask), "askQty": size}


def depth(tape: Tape, now: int, limit: int) -> dict[str, Any]:
    """Word GET /depth: a ladder of equal sizes around the last price."""
    bid, ask = best(tape, now)
    levels, size = max(1, min(limit, 20)), number(_size(tape))
    bids = [bid - i * tape.rules.tick for i in range(levels)]
    return {
        "lastUpdateId": update_id(tape),
        "bids": [[number(price), size] for price in bids if price > 0],
        "asks": [[number(ask + i * tape.rules.tick), size] for i in range(levels)],
    }


def update_id(tape: Tape) -> int:
    """Give the number of the book: one more with every print."""
    return _PARTS * tape.bar + tape.shown + 1


def day_ticker(tape: Tape, now: int) -> dict[str, Any]:
    """Word GET /ticker/24hr."""
    first = int(np.searchsorted(tape.bars.close_time, now - DAY_MS, side="right"))
    columns = tape.rows(min(first, tape.bar), now)
    opened, price = float(columns["open"][0]), float(tape.at(now))
    volume = float(columns["volume"].sum())
    quote = float(columns["quote_volume"].sum() if "quote_volume" in columns else volume * price)
    bid, ask = best(tape, now)
    return {
        "symbol": tape.id,
        "priceChange": number(price - opened),
        "priceChangePercent": f"{100 * (price / opened - 1):.3f}",
        "weightedAvgPrice": number(quote / volume if volume else price),
        "prevClosePrice": number(opened),
        "lastPrice": number(price),
        "lastQty": number(_size(tape)),
        "bidPrice": number(bid),
        "bidQty": number(_size(tape)),
        "askPrice": number(ask),
        "askQty": number(_size(tape)),
        "openPrice": number(opened),
        "highPrice": number(float(columns["high"].max())),
        "lowPrice": number(float(columns["low"].min())),
        "volume": number(volume),
        "quoteVolume": number(quote),
        "openTime": now - DAY_MS,
        "closeTime": now,
        "firstId": 0,
        "lastId": update_id(tape),
        "count": update_id(tape),
    }


def trades(tape: Tape, limit: int, *, aggregated: bool, start: int | None = None) -> list[dict[str, Any]]:
    """Word the newest prints as public trades, a quarter of the bar's volume each."""
    newest = update_id(tape) - 1
    oldest = max(0, newest - min(limit, MOST))
    offsets = (0, tape.timeframe.ms // 3, 2 * tape.timeframe.ms // 3, tape.timeframe.ms - 1)
    found = []
    for place in range(oldest, newest):
        bar, part = divmod(place, _PARTS)
        time = int(tape.bars.open_time[bar]) + offsets[part]
        if start is None or time >= start:
            price, size = number(tape.price(bar, part)), number(float(tape.bars.volume[bar]) / _PARTS)
            sold = part == 1  # the low is where somebody sold
            long = {"id": place, "price": price, "qty": size, "time": time, "isBuyerMaker": sold, "isBestMatch": True}
            long["quoteQty"] = number(float(price) * float(size))
            short = {"a": place, "p": price, "q": size, "f": place, "l": place, "T": time, "m": sold, "M": True}
            found.append(short if aggregated else long)
    return found


def _size(tape: Tape) -> float:
    return max(float(tape.rules.step), float(tape.bars.volume[tape.bar]) / _PARTS)
