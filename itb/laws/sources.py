"""Law 1 for what is joined from elsewhere: no bar holds a row of a source that was not known at its close."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from itb.datafeeds.sources import SourceRows
from itb.laws.result import LawResult
from itb.market.bars import utc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from itb.datafeeds.sources import Joined
    from itb.market.bars import Bars, BoolArray

LAW = "causal"


def check_joined(bars: Bars, joined: Joined, *, cuts: int = 6, seed: int = 0) -> LawResult:
    """Check that the columns a source put beside the bars hold nothing that was known later.

    At ``cuts`` random bars, each the last before some row is known, the source's rows that became known after the
    bar's close are once cut off and once replaced by noise, and the source is joined again: no value up to the bar may
    change. When a row is known is said here once more, apart from the code that joins: its time + delay, and +
    timeframe where its time is the open of a bar.

    >>> from itb.datafeeds.sources import Join, Joined
    >>> from itb.datafeeds.waves import sinus
    >>> bars = sinus(bars=50)
    >>> joined = Joined("own", SourceRows.of_bars("own", bars), Join(bars.timeframe), {"x": "close"}, bars.close_time)
    >>> print(check_joined(bars.with_columns(x=joined.columns["x"]), joined))
    causal: source own: ok: 12 changes of rows known later changed none of 266 values
    >>> early = np.append(bars.close[1:], 0.0)
    >>> print(check_joined(bars.with_columns(x=early), joined, cuts=1))  # doctest: +ELLIPSIS
    causal: source own: BROKEN: x at row 0 (2023-01-01 00:00 UTC) is ... but ... is what was known at its close
    """
    subject = f"source {joined.name}"
    compared = tried = 0
    for cut, rows in _worlds(joined, cuts, np.random.default_rng(seed)):
        tried += 1
        for name, again in replace(joined, rows=rows).columns.items():
            found, right = bars[name][: cut + 1], again[: cut + 1]
            wrong = ~((found == right) | (np.isnan(found) & np.isnan(right)))
            compared += len(found)
            if wrong.any():
                row = int(wrong.argmax())
                evidence = (
                    f"{name} at row {row} ({utc(bars.open_time[row])}) is {found[row]:.10g}, but {right[row]:.10g} is "
                    "what was known at its close"
                )
                return LawResult(LAW, subject, passed=False, evidence=evidence, figures={"row": row, "cut": cut})
    evidence = f"{tried} changes of rows known later changed none of {compared} values"
    return LawResult(LAW, subject, passed=True, evidence=evidence, figures={"compared": compared})


def _worlds(joined: Joined, cuts: int, rng: np.random.Generator) -> Iterator[tuple[int, SourceRows]]:
    """Give the last bar that must not change, and rows whose later ones are missing, then noise."""
    rows, frame = joined.rows, joined.join.timeframe
    known = rows.times + joined.join.delay_ms + (0 if frame is None else frame.ms)
    last_before = np.searchsorted(joined.decisions, known) - 1  # a row that shows too early shows there first
    places = last_before[(last_before >= 0) & (known <= joined.decisions[-1])]
    for cut in rng.choice(places if len(places) else len(joined.decisions), cuts).tolist():
        is_later: BoolArray = known > joined.decisions[cut]
        kept = {name: values[~is_later] for name, values in rows.columns.items()}
        yield cut, SourceRows(rows.label, rows.times[~is_later], kept)
        noise = {name: np.where(is_later, rng.normal(size=len(known)), item) for name, item in rows.columns.items()}
        yield cut, SourceRows(rows.label, rows.times, noise)
