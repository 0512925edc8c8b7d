"""Law 1, causal: later bars change no earlier value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from itb.laws.columns import Compute, as_columns, column_names, differ, scales
from itb.laws.result import LawResult
from itb.market.bars import OHLCV, Bars, FloatArray, utc

TOLERANCE = 1e-12  # of the value or the column's scale: rounding may depend on an array's length, information may not


def check_causal(
    compute: Compute,
    bars: Bars,
    *,
    subject: str = "",
    names: Sequence[str] | None = None,
    cuts: int = 6,
    seed: int = 0,
) -> LawResult:
    """Check that what ``compute`` says about a bar does not depend on the bars after it.

    At ``cuts`` random bars the later ones are once cut off and once replaced by noise (another price path, other
    volumes, other extra columns); no value up to the cut may change by more than 1e-12 of itself or of its column's
    root mean square, and no NaN may come or go. ``compute`` takes bars and gives one number or one row per bar: a
    feature, a feature set, a strategy's flags.

    >>> from itb.datafeeds.waves import sinus
    >>> bool(check_causal(lambda bars: np.cumsum(bars.close), sinus(bars=200)))
    True
    >>> print(check_causal(lambda bars: bars.close / bars.close.max(), sinus(), subject="x"))  # doctest: +ELLIPSIS
    causal: x: BROKEN: x at row 0 ... changes from ... when the bars after row ... are replaced by noise
    """
    subject = subject or getattr(compute, "__name__", type(compute).__name__)
    if len(bars) < 3:
        raise ValueError(f"{subject}: the causal law needs at least 3 bars, got {len(bars)}")
    full = as_columns(compute(bars), bars, subject)
    scale = scales(full)
    labels = column_names(names or getattr(compute, "names", None), full.shape[1], subject)
    tried = compared = 0
    for what, cut, changed in _worlds(bars, cuts, np.random.default_rng(seed)):
        again = as_columns(compute(changed), changed, subject)[: cut + 1]
        wrong = differ(again, full[: cut + 1], TOLERANCE, scale)
        tried += 1
        compared += wrong.size
        if wrong.any():
            row, column = (int(place) for place in np.argwhere(wrong)[0])
            evidence = (
                f"{labels[column]} at row {row} ({utc(bars.open_time[row])}) changes from {full[row, column]:.10g} to "
                f"{again[row, column]:.10g} when the bars after row {cut} are {what}"
            )
            figures = {"row": row, "cut": cut, "looks_ahead_at_least": cut - row + 1, "values_wrong": int(wrong.sum())}
            return LawResult("causal", subject, passed=False, evidence=evidence, figures=figures)
    evidence = f"{tried} changes of later bars changed none of {compared} earlier values"
    return LawResult("causal", subject, passed=True, evidence=evidence, figures={"compared": compared})


def _worlds(bars: Bars, cuts: int, rng: np.random.Generator) -> Iterator[tuple[str, int, Bars]]:
    for cut in sorted({int(place) for place in rng.integers(len(bars) // 3, len(bars) - 1, cuts)}):
        yield "cut off", cut, bars.head(cut + 1)
        yield "replaced by noise", cut, poison_after(bars, cut, rng)


def poison_after(bars: Bars, row: int, rng: np.random.Generator) -> Bars:
    """Give the same bars up to ``row`` and another future: valid prices and volumes that have nothing to do with it.

    Prices of other markets among the columns (``eth_open``, ``eth_high``, ...) become others that are valid too.

    >>> from itb.datafeeds.waves import sinus
    >>> poisoned = poison_after(sinus(bars=10), 6, np.random.default_rng(0))
    >>> (poisoned.close == sinus(bars=10).close).tolist()[5:]
    [True, True, False, False, False]
    """
    count = len(bars) - row - 1
    noise: dict[str, FloatArray] = {}
    for prefix in [name.removesuffix("open") for name in bars.columns if name == "open" or name.endswith("_open")]:
        if all(f"{prefix}{name}" in bars.columns for name in OHLCV[:4]):
            noise |= _prices(prefix, bars[f"{prefix}close"][: row + 1], count, rng)
    for name, values in bars.columns.items():
        if name not in noise:
            noise[name] = (1 + np.abs(np.nan_to_num(values[: row + 1])).mean()) * rng.lognormal(0, 2, count)
    poisoned = {name: np.concatenate([bars[name][: row + 1], noise[name]]) for name in bars.columns}
    return Bars(bars.symbol, bars.timeframe, bars.open_time, poisoned)


def _prices(prefix: str, past: FloatArray, count: int, rng: np.random.Generator) -> dict[str, FloatArray]:
    known = past[np.isfinite(past)]
    level = (known[-1] if len(known) else 1.0) * np.exp(np.cumsum(rng.normal(0, 0.05, count)))
    ends = level * np.exp(rng.normal(0, 0.03, (2, count)))
    reach = np.exp(np.abs(rng.normal(0, 0.02, (2, count))))
    return {
        f"{prefix}open": ends[0],
        f"{prefix}high": ends.max(axis=0) * reach[0],
        f"{prefix}low": ends.min(axis=0) / reach[1],
        f"{prefix}close": ends[1],
    }
