"""Law 7, reproducible: the same data, config and seed give the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from itb.laws.result import LawResult
from itb.ledger.difference import first_difference
from itb.market.bars import FloatArray

LAW = "reproducible"
Made = Mapping[str, FloatArray | Sequence[Any]]


def check_reproducible(make: Callable[[], Made], *, subject: str = "", times: int = 2) -> LawResult:
    """Check that ``make`` gives the same every time: arrays by name, or lists of fills or trades, to the last bit.

    >>> print(check_reproducible(lambda: {"scores": np.arange(3.0)}, subject="steady"))
    reproducible: steady: ok: 2 runs gave the same bytes in scores
    >>> rng = np.random.default_rng(0)
    >>> print(check_reproducible(lambda: {"scores": rng.random(3)}, subject="moody"))
    reproducible: moody: BROKEN: scores differ at row 0: 0.6369616873214543 in run 1, 0.016527635528529094 in run 2
    """
    subject = subject or getattr(make, "__name__", type(make).__name__)
    first = make()
    for number in range(2, times + 1):
        names = ("run 1", f"run {number}")
        again = make()
        if list(first) != list(again):
            evidence = f"{names[0]} gave {', '.join(first)}, {names[1]} {', '.join(again)}"
            return LawResult(LAW, subject, passed=False, evidence=evidence)
        for name in first:
            apart = _apart(first[name], again[name], names)
            if apart:
                return LawResult(LAW, subject, passed=False, evidence=f"{name} differ at {apart}")
    evidence = f"{times} runs gave the same bytes in {', '.join(first)}"
    return LawResult(LAW, subject, passed=True, evidence=evidence)


def _apart(one: FloatArray | Sequence[Any], other: FloatArray | Sequence[Any], names: tuple[str, str]) -> str:
    if not (isinstance(one, np.ndarray) and isinstance(other, np.ndarray)):
        return _entries_apart(list(one), list(other), names)
    if one.shape != other.shape:
        return f"their lengths: {len(one)} in {names[0]}, {len(other)} in {names[1]}"
    rows = np.flatnonzero(one.view(np.uint64) != other.view(np.uint64))
    if not len(rows):
        return ""
    row = int(rows[0])
    return f"row {row}: {one[row]} in {names[0]}, {other[row]} in {names[1]}"


def _entries_apart(one: Sequence[Any], other: Sequence[Any], names: tuple[str, str]) -> str:
    if all(hasattr(entry, "bar") for entry in (*one, *other)):
        found = first_difference(one, other, names=names)
        return "" if found is None else str(found)
    words = [[repr(entry) for entry in entries] for entries in (one, other)]
    for number, (ours, theirs) in enumerate(zip_longest(*words, fillvalue="nothing more")):
        if ours != theirs:
            return f"entry {number}: {ours} in {names[0]}, {theirs} in {names[1]}"
    return ""
