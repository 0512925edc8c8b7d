"""The commented ``itb.toml`` that ``itb init`` writes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from itb.config.catalogue import Key, Table, parts, sections
from itb.config.model import Config
from itb.config.parts import synthetic_market
from itb.config.sections import Part
from itb.config.toml import value
from itb.config.values import from_ms, plain_moment
from itb.market.timeframe import DAY_MS

HOLDOUT_SHARE = 0.2
_WIDTH = 100
_HEAD = """\
# Settings of this project, read by every itb command that runs in this folder.
#
# A line that begins with "# " explains the line below it. A line that begins with "#" and a key shows the
# default: take the "#" away to change it. `itb config check` examines this file, `itb config show` prints
# what is in force, `itb config schema` helps your editor. Secrets do not belong here.
"""
_SOURCES: tuple[dict[str, Any], ...] = (
    {
        "name": "perp",
        "prefix": "perp",
        "kind": "bars",
        "exchange": "binance-usdm",
        "symbol": "BTC/USDT:USDT",
        "timeframe": "1h",
        "time": "open",
        "delay": "0m",
        "columns": ["close", "volume"],
        "gaps": "refuse",
        "max_age": "1d",
    },
    {"name": "funding", "kind": "table", "file": "funding.parquet", "time": "event"},
)
_EXAMPLES: dict[str, tuple[dict[str, Any], ...]] = {
    "sources": _SOURCES,
    "outputs": (
        {"kind": "alerts", "name": "alarms", "ways": ["telegram"]},
        {"kind": "trades"},
        {"kind": "summary"},
    ),
    "ways": ({"kind": "telegram", "name": "telegram"}, {"kind": "lines", "file": "messages.jsonl"}),
}
_ACTIVE = {
    "data": ("exchange", "symbols", "timeframe", "gaps", "holdout_from"),
    "strategy": ("name", "buy_threshold", "sell_threshold"),
    "costs": ("taker_fee_bps", "maker_fee_bps", "slippage_bps"),
}


def starter(
    exchange: str | None = None,
    symbols: Sequence[str] = (),
    timeframe: str | None = None,
    first_ms: int | None = None,
    last_ms: int | None = None,
    *,
    holdout_from: str | None = None,
) -> str:
    """Write a config with every key, its meaning and its default, for the given market (or the built-in one).

    Where the range of the data is known (open times of the first and last bar, UTC milliseconds), its last fifth is
    proposed as the sealed hold-out; the built-in market's range is known. ``holdout_from`` is proposed instead where it
    is given, such as the one that was sealed before.

    >>> [line for line in starter("binance", ["BTC/USDT"], "4h").splitlines() if line.startswith("exchange")]
    ['exchange = "binance"']
    """
    given = {"exchange": exchange, "symbols": list(symbols), "timeframe": timeframe}
    data = {name: item for name, item in given.items() if item}
    if exchange in {None, "synthetic"} and last_ms is None:
        first_ms, last_ms = _synthetic_range(data)
    holdout = holdout_from or proposed_holdout(first_ms, last_ms)
    if holdout is not None:
        data["holdout_from"] = holdout
    defaults = Config().plain()
    variants = {(table.section, table.part): table for table in parts()}
    lines = [_HEAD.rstrip("\n")]
    for table in sections():
        if table.section in _EXAMPLES:
            lines += _examples(table, _EXAMPLES[table.section])
            continue
        if table.is_list:
            lines += _list(table, defaults.get(table.section, []))
            continue
        chosen = _chosen(table, variants)
        set_here = defaults[table.section] if chosen and table.section in defaults else {}
        keys = (*table.keys, *(chosen.keys if chosen else ()))
        lines += ["", "", *_comment(_first_paragraph(table)), table.title]
        if chosen:
            names = [value(part) for of, part in variants if of == table.section]
            keys = tuple(replace(key, meaning=_choice(key, table, names)) for key in keys)
        lines += _keys(keys, (data if table.section == "data" else set_here), _ACTIVE.get(table.section, ()))
    return "\n".join(lines) + "\n"


def proposed_holdout(first_ms: int | None, last_ms: int | None) -> str | None:
    """Propose the day from which on the last fifth of the data is sealed; ``None`` for ten days of data or less.

    >>> proposed_holdout(0, 99 * DAY_MS)
    '1970-03-21'
    """
    if first_ms is None or last_ms is None or last_ms - first_ms <= 10 * DAY_MS:
        return None
    start = first_ms + (1 - HOLDOUT_SHARE) * (last_ms - first_ms)
    return plain_moment(from_ms(int(start // DAY_MS) * DAY_MS))


def _synthetic_range(data: Mapping[str, Any]) -> tuple[int, int]:
    market = synthetic_market(Config.model_validate({"data": data}, by_name=False, by_alias=True))
    return market.start_ms, market.start_ms + (market.length - 1) * market.timeframe.ms


def _chosen(table: Table, variants: Mapping[tuple[str, str], Table]) -> Table | None:
    if not issubclass(table.owner, Part):
        return None
    selector = table.owner.selector
    if selector is None:
        return variants[table.section, table.section]
    name = next(key.default for key in table.keys if key.name == selector)
    return variants[table.section, name]


def _choice(key: Key, table: Table, names: Sequence[str]) -> str:
    is_selector = issubclass(table.owner, Part) and key.name == table.owner.selector
    return f"{key.meaning} Built in: {', '.join(names)}." if is_selector else key.meaning


def _list(table: Table, items: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["", "", *_comment(_first_paragraph(table))]
    for i, part in enumerate(items):
        lines += ["", table.title] if i else [table.title]
        lines += [f"{name} = {value(item)}" for name, item in part.items()]
    own = {name for part in items for name in part}
    return lines + (list(_keys([key for key in table.keys if key.name not in own], {}, ())) if items else [])


def _examples(table: Table, items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Show items of a list that is empty, as comments: the first with what its keys mean."""
    first, *others = items
    yield from ("", "", *_comment(_first_paragraph(table)), f"#{table.title}")
    for key in table.keys:
        yield from _comment(key.meaning)
        if key.name in first:
            yield f"#{key.name} = {value(first[key.name])}"
    for item in others:
        yield from ("", f"#{table.title}", *(f"#{name} = {value(given)}" for name, given in item.items()))


def _keys(keys: Sequence[Key], given: Mapping[str, Any], active: Sequence[str]) -> Iterator[str]:
    for key in keys:
        if key.name == "promotion":
            continue
        yield from _comment(key.meaning)
        item = given.get(key.name, key.default)
        if key.name in given or (key.name in active and item is not None):
            yield f"{key.name} = {value(item)}"
        elif item is not None or key.example is not None:
            yield f"#{key.name} = {value(key.example if item is None else item)}"
        else:
            yield f"# {key.name} takes a {key.kind} and is not set."


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, _WIDTH)]


def _first_paragraph(table: Table) -> str:
    return " ".join(table.meaning.partition("\n\n")[0].split())
