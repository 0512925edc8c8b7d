"""The first difference between two lists of fills, or of anything else that happened bar by bar, in words."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from itb.market.bars import utc
from itb.market.fills import Fill

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


@dataclass(frozen=True)
class Difference:
    """Where two lists part: ``index`` counts entries from 0, ``bar`` is the earlier bar of the two.

    ``what`` names the field that differs, or is ``"missing"`` where one list has nothing in that bar.
    """

    index: int
    bar: int
    what: str
    text: str

    def __str__(self) -> str:
        return self.text


def first_difference(
    left: Sequence[Any],
    right: Sequence[Any],
    *,
    names: tuple[str, str] = ("left", "right"),
    tolerance: float = 0.0,
    ignore: Collection[str] = ("order_id",),
) -> Difference | None:
    """Find the first entry that is not in both lists alike, or ``None``.

    Entries are dataclasses or named tuples with a field ``bar`` and, if they know it, ``open_time`` (UTC milliseconds):
    fills, or decisions. Numbers are the same within ``tolerance`` x the larger of the two; NaN is the same as NaN;
    fields in ``ignore`` are not looked at.

    >>> from itb.market.fills import Fill
    >>> fast = [Fill(4, 240_000, 1, "BTC/USDT", 1.0, 100.0, 0.1, 0.1, reason="entry")]
    >>> plain = [Fill(4, 240_000, 1, "BTC/USDT", 1.0, 101.0, 0.1, 0.1, reason="entry")]
    >>> print(first_difference(fast, plain, names=("fast", "plain")))
    entry 0, bar 4 (1970-01-01 00:04 UTC): price is 100.0 in fast, 101.0 in plain (buy of 1.0 BTC/USDT, entry)
    >>> print(first_difference(fast, [], names=("fast", "plain")))
    entry 0, bar 4 (1970-01-01 00:04 UTC): fast has a buy of 1.0 BTC/USDT at 100.0 (entry), plain has nothing more
    """
    for index, (ours, theirs) in enumerate(zip(left, right, strict=False)):
        if ours.bar != theirs.bar:
            return _missing(index, ours, theirs, names)
        what = next(
            (name for name in _names(ours) if name not in ignore and _differs(name, ours, theirs, tolerance)), None
        )
        if what is not None:
            values = [f"{getattr(entry, what)!r} in {name}" for entry, name in zip((ours, theirs), names, strict=True)]
            about = f" ({_thing(ours)}, {ours.reason})" if isinstance(ours, Fill) else ""
            return Difference(index, ours.bar, what, f"{_where(index, ours)}: {what} is {', '.join(values)}{about}")
    index = min(len(left), len(right))
    if len(left) == len(right):
        return None
    ours, theirs = (entries[index] if index < len(entries) else None for entries in (left, right))
    return _missing(index, ours, theirs, names)


def _names(entry: Any) -> list[str]:
    if is_dataclass(entry):
        return [field.name for field in fields(entry)]
    return list(entry._fields)


def _differs(name: str, ours: Any, theirs: Any, tolerance: float) -> bool:
    one, other = getattr(ours, name), getattr(theirs, name)
    if isinstance(one, float) and isinstance(other, float | int):
        both_nan = math.isnan(one) and math.isnan(other)
        return not both_nan and not math.isclose(one, other, rel_tol=tolerance, abs_tol=0.0)
    return bool(one != other)


def _missing(index: int, ours: Any, theirs: Any, names: tuple[str, str]) -> Difference:
    we_have_it = theirs is None or (ours is not None and ours.bar < theirs.bar)
    first, later = (ours, theirs) if we_have_it else (theirs, ours)
    has, lacks = names if we_have_it else names[::-1]
    then = (
        f"{lacks} has nothing more"
        if later is None
        else f"{lacks} has nothing before bar {later.bar}: {_describe(later)}"
    )
    return Difference(index, first.bar, "missing", f"{_where(index, first)}: {has} has {_describe(first)}, {then}")


def _where(index: int, entry: Any) -> str:
    time = getattr(entry, "open_time", None)
    return f"entry {index}, bar {entry.bar}" + ("" if time is None else f" ({utc(time)})")


def _thing(fill: Fill) -> str:
    if fill.reason == "funding":
        return f"funding of {fill.fee_quote} on {fill.symbol}"
    return f"{'buy' if fill.qty > 0 else 'sell'} of {abs(fill.qty)} {fill.symbol}"


def _describe(entry: Any) -> str:
    return f"a {_thing(entry)} at {entry.price} ({entry.reason})" if isinstance(entry, Fill) else repr(entry)
