"""Label generators of intelligent-trading-bot as our labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from itb.config.foreign.source import Source

_PRICES = ["close", "high", "low"]
_HIGH_LOW = re.compile(r"(high|low)_(\d\d)")
_TURN = re.compile(r"(top|bot)([1-5])_(\d+)")


def label_sets(config: Source, wanted: Sequence[str]) -> list[dict[str, Any]]:
    """Translate ``label_sets`` into the tables of ``[[labels]]``; ``wanted`` are the columns that are learned."""
    made: list[dict[str, Any]] = []
    for entry in config.tables("label_sets"):
        generator = entry.text("generator") or ""
        if generator not in ("highlow", "highlow2", "topbot", "topbot2"):
            why = "code of your own" if ":" in generator else "no such label"
            entry.note("generator", generator, f"{why}; write a label of your own, see CONTRIBUTING")
            entry.lose_rest("its generator has no counterpart")
            continue
        for key in ("column_prefix", "feature_prefix"):
            entry.lose(key, "labels are made of the bars that are traded, and named by alias")
        inner = entry.table("config")
        if generator == "highlow":
            made += _highlow(inner, "horizon", wanted)
        elif generator == "highlow2":
            made += _highlow2(inner)
        else:
            made += _turns(generator, inner)
    return made


def labels_by_name(config: Source, wanted: Iterable[str], known: Iterable[str]) -> list[dict[str, Any]]:
    """Make the labels whose names say what they are, where no generator of the config has made them."""
    missing = [name for name in wanted if name not in set(known)]
    turns = [_turn(name) for name in missing if _TURN.fullmatch(name)]
    if not any(_HIGH_LOW.fullmatch(name) for name in missing):
        return turns
    key = "high_low_horizon" if "high_low_horizon" in config else "label_horizon"
    return [*_highlow(config, key, missing), *turns]


def _highlow(config: Source, key: str, wanted: Sequence[str]) -> list[dict[str, Any]]:
    named = [(name, found) for name in wanted if (found := _HIGH_LOW.fullmatch(name))]
    horizon = config.count(key)
    if horizon is None or not named:
        if horizon is not None:
            config.note(
                key, horizon, "of the labels that highlow makes, those that are learned are translated: none is"
            )
        return []
    columns = config.texts("columns")
    if columns and columns != _PRICES:
        config.note("columns", columns, "highlow reads close, high and low")
    return [
        {"kind": "highlow", "function": found[1], "threshold_pct": int(found[2]) / 10, "horizon": horizon}
        for _, found in named
    ]


def _highlow2(config: Source) -> list[dict[str, Any]]:
    function, horizon, thresholds = config.text("function"), config.count("horizon"), config.numbers("thresholds")
    names, columns = config.texts("names"), config.texts("columns")
    if function not in ("high", "low") or horizon is None or not thresholds:
        config.note("highlow2", [function, horizon, *thresholds], "it needs function, thresholds and horizon")
        return []
    if columns and columns != _PRICES:
        config.note("columns", columns, "highlow2 reads close, high and low")
        config.note("highlow2", [function, horizon, *thresholds], "its columns have no counterpart")
        return []
    shared: dict[str, Any] = {"kind": "highlow2", "function": function, "horizon": horizon}
    if (tolerance := config.number("tolerance")) is not None:
        shared["tolerance"] = tolerance
    made = []
    for number, threshold in enumerate(thresholds):
        if threshold < 0:
            config.note("thresholds", threshold, 'written as its size: function = "low" turns it downward by itself')
        table = {**shared, "threshold_pct": abs(threshold)}
        made.append(table | ({"alias": names[number]} if number < len(names) else {}))
    return made


def _turns(generator: str, config: Source) -> list[dict[str, Any]]:
    function, level, tolerances = config.text("function"), config.number("level"), config.numbers("tolerances")
    names, columns = config.texts("names"), config.texts("columns")
    if function not in ("top", "bot") or level is None or not tolerances or len(columns) > 1:
        kept = [function, level, *tolerances, *columns]
        config.note(generator, kept, "it needs function, level, tolerances and one column")
        return []
    if level < 0:
        config.note("level", level, 'written as its size: function = "bot" turns it downward by itself')
    shared: dict[str, Any] = {"kind": generator, "function": function, "level": abs(level)}
    if columns and columns != ["close"]:
        shared["column"] = columns[0]
    return [
        {**shared, "tolerance": tolerance} | ({"alias": names[number]} if number < len(names) else {})
        for number, tolerance in enumerate(tolerances)
    ]


def _turn(name: str) -> dict[str, Any]:
    """Read ``top3_025``: a level of 3 percent, a tolerance of 0.25 percent."""
    found = _TURN.fullmatch(name)
    assert found is not None
    return {
        "kind": "topbot",
        "function": found[1],
        "level": int(found[2]) / 100,
        "tolerance": int(found[3]) / 10 ** (len(found[3]) + 1),
        "alias": name,
    }
