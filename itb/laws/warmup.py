"""Law 2, warm-up: the last ``warmup + 1`` bars give the value that the whole history gives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from itb.laws.columns import Compute, as_columns, column_names, differ, scales
from itb.laws.result import LawResult
from itb.market.bars import Bars, utc

TOLERANCE = 1e-9  # of the value or the column's scale


def check_warmup(
    compute: Compute,
    bars: Bars,
    *,
    warmup: int | None = None,
    subject: str = "",
    names: Sequence[str] | None = None,
    points: int = 8,
    tolerance: float = TOLERANCE,
    seed: int = 0,
) -> LawResult:
    """Check that a live start with ``warmup`` earlier bars gives the numbers of the whole history.

    At ``points`` random bars and at the last one the value computed from ``warmup + 1`` bars is compared with that
    from all bars; it may differ by ``tolerance`` of itself or of its column's root mean square (a feature set in
    float32 needs 2e-7), and no NaN may come or go. ``warmup`` is taken from ``compute`` if not given. Raises
    ``ValueError`` unless there are more than ``warmup + 1`` bars; three times as many make a fair test.

    >>> from itb.datafeeds.waves import sinus
    >>> bool(check_warmup(lambda bars: bars.close - 200, sinus(bars=200), warmup=0))
    True
    >>> total = check_warmup(lambda bars: np.cumsum(bars.volume), sinus(bars=200), warmup=50, subject="sum")
    >>> print(total)  # doctest: +ELLIPSIS
    warmup: sum: BROKEN: sum at row ... is ... from 51 bars and ... from all
    """
    subject = subject or getattr(compute, "__name__", type(compute).__name__)
    needed = int(getattr(compute, "warmup", -1)) if warmup is None else warmup
    if needed < 0:
        raise ValueError(f"{subject}: the warm-up law needs to know the warmup, and {subject} does not say it")
    if len(bars) < needed + 2:
        raise ValueError(f"{subject}: the warm-up law needs more than {needed + 1} bars, got {len(bars)}")
    full = as_columns(compute(bars), bars, subject)
    scale = scales(full)
    labels = column_names(names or getattr(compute, "names", None), full.shape[1], subject)
    rows = np.random.default_rng(seed).integers(needed + 1, len(bars), points)
    worst = 0.0
    for row in sorted({*rows.tolist(), len(bars) - 1}):
        part = bars.slice(row - needed, row + 1)
        last = as_columns(compute(part), part, subject)[-1:]
        wrong = differ(last, full[row : row + 1], tolerance, scale)
        if wrong.any():
            column = int(wrong[0].argmax())
            evidence = (
                f"{labels[column]} at row {row} ({utc(bars.open_time[row])}) is {last[0, column]:.12g} from "
                f"{needed + 1} bars and {full[row, column]:.12g} from all"
            )
            figures = {"row": row, "warmup": needed, "columns_wrong": int(wrong.sum())}
            return LawResult("warmup", subject, passed=False, evidence=evidence, figures=figures)
        apart = np.flatnonzero((last[0] != full[row]) & ~np.isnan(full[row]))
        size = np.maximum(np.abs(full[row, apart]), scale[apart])
        worst = max(worst, float((np.abs(last[0, apart] - full[row, apart]) / size).max(initial=0.0)))
    evidence = f"{needed + 1} bars gave the values of {len(bars)} at {points + 1} bars, to {worst:.1e} of the scale"
    return LawResult("warmup", subject, passed=True, evidence=evidence, figures={"warmup": needed, "worst": worst})
