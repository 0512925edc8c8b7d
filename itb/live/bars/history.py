"""Bars before the first live one: from the store and from the exchange, joined without gap or overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from itb.errors import BarsError
from itb.live.bars.bar import Bar, bars_of, rows_of
from itb.market.bars import utc
from itb.market.gaps import GapPolicy, treat

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from itb.live.bars.source import BarSource
    from itb.market.bars import Bars
    from itb.market.timeframe import Timeframe


@dataclass(frozen=True)
class Joined:
    """The history, and the open times of stored bars that the exchange tells differently (its word counts)."""

    bars: Bars
    revised: tuple[int, ...] = ()


def join_history(
    stored: Bars | None, told: Iterable[Bar], columns: Sequence[str], name: tuple[str, Timeframe], gaps: GapPolicy
) -> Joined:
    """Put what the exchange told behind what the store holds; ``name`` is symbol and timeframe.

    Where both have a bar the exchange's counts. Bars that neither has are treated by ``gaps``. Raises
    :class:`itb.errors.BarsError` for no bars at all, columns that the exchange does not tell, and as ``gaps`` does.
    """
    symbol, timeframe = name
    merged: dict[int, Bar] = {}
    if stored is not None and len(stored):
        if list(stored.columns) != list(columns):
            raise BarsError(
                f"{symbol} {timeframe}: the stored bars have the columns {', '.join(stored.columns)}, the exchange "
                f"tells {', '.join(columns)}; expected the same, or the history would differ from what follows"
            )
        merged = {row.open_time: row for row in rows_of(stored)}
    revised = []
    for row in told:
        before = merged.get(row.open_time)
        if before is not None and not before.equals(row):
            revised.append(row.open_time)
        merged[row.open_time] = row
    if not merged:
        raise BarsError(f"{symbol} {timeframe}: neither the store nor the exchange has a bar to warm up with")
    ordered = (merged[time] for time in sorted(merged))
    return Joined(treat(bars_of(ordered, symbol, timeframe, columns), gaps), tuple(sorted(revised)))


async def load_history(
    source: BarSource,
    stored: Bars | None,
    name: tuple[str, Timeframe],
    *,
    bars: int,
    now: float,
    gaps: GapPolicy = "refuse",
    delay_ms: int = 1_000,
    overlap: int = 3,
    page: int = 500,
) -> Joined:
    """Give the last ``bars`` bars that are final at ``now`` (the exchange's time), asking for what the store lacks.

    The last bar is the newest final one, so that a schedule may start right after it; where ``gaps`` treats bars that
    are missing at the end, they are left to the schedule. ``overlap`` stored bars are asked for again and compared.
    Raises :class:`itb.errors.BarsError` when there are fewer bars than asked for.
    """
    symbol, timeframe = name
    stop = timeframe.floor(int(now - delay_ms))  # the bar that opens here is not final
    wanted = stop - bars * timeframe.ms
    kept = None if stored is None else stored.between(wanted, stop)
    reaches = kept is not None and len(kept) > 0 and int(kept.open_time[0]) == wanted and kept.missing == 0
    since = wanted
    if kept is not None and reaches:
        since = max(wanted, int(kept.open_time[-1]) - (overlap - 1) * timeframe.ms)
    told: dict[int, Bar] = {}
    while since < stop:
        limit = min(page, (stop - since) // timeframe.ms + 1)
        rows = await source.bars(symbol, timeframe, since, limit)
        new = {row.open_time: row for row in rows if since <= row.open_time < stop and not row.fault(timeframe)}
        told |= new
        if not new:
            break
        since = max(new) + timeframe.ms
    joined = join_history(kept, told.values(), source.columns, name, gaps)
    if int(joined.bars.open_time[0]) > wanted:
        raise BarsError(
            f"{symbol} {timeframe}: warming up needs {bars:,} bars from {utc(wanted)}, the first is "
            f"{utc(joined.bars.open_time[0])}; run `itb data download`, or choose features that look back less far"
        )
    return joined
