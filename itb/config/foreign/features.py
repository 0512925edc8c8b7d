"""Feature generators of intelligent-trading-bot as our families."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from itb.config.foreign.source import Source

COLUMNS = {
    "quote_av": "quote_volume",
    "tb_base_av": "taker_buy_base",
    "tb_quote_av": "taker_buy_quote",
}
"""Columns of klines, by their names there and here."""

_CLASSIC_TRENDS = ("close_AREA", "close_SLOPE", "volume_SLOPE")
_CLASSIC_AVERAGES = ("close_WMA", "close_STD", "volume_SMA", "span_SMA", "trades_SMA", "tb_base_SMA")
_FIXED = {"high", "low", "close", "volume"}


def feature_sets(config: Source, sources: dict[str, str]) -> list[dict[str, Any]]:
    """Translate ``feature_sets``, of tables or (older) of names, into the tables of ``[[features]]``.

    ``sources`` maps the column prefixes that are known to the names of sources.
    """
    if names := config.texts("feature_sets"):
        return _old_sets(config, names)
    made = []
    for entry in config.tables("feature_sets"):
        generator = entry.text("generator") or ""
        translate = _GENERATORS.get(generator)
        if translate is None:
            why = "code of your own" if ":" in generator else "no such family"
            entry.note("generator", generator, f"{why}; write a feature of your own, see CONTRIBUTING")
            entry.lose_rest("its generator has no counterpart")
            continue
        placed = _placed(entry, sources)
        if placed is None:
            entry.lose_rest("its columns have no counterpart")
        elif (table := translate(entry.table("config"))) is not None:
            made.append(table | placed)
    return made


def _placed(entry: Source, sources: dict[str, str]) -> dict[str, Any] | None:
    """Take the prefixes: of the columns that are read, and of those that are made."""
    placed: dict[str, Any] = {}
    if prefix := entry.text("feature_prefix"):
        placed["prefix"] = prefix
    if column_prefix := entry.text("column_prefix"):
        if column_prefix not in sources:
            entry.note("column_prefix", column_prefix, "no source has this prefix")
            return None
        placed["source"] = sources[column_prefix]
    return placed


def _old_sets(config: Source, names: list[str]) -> list[dict[str, Any]]:
    """Translate the names that the oldest configs give, with windows at the top of the file."""
    made: list[dict[str, Any]] = []
    for name in names:
        if name in ("kline", "klines", "itblib"):
            made += _classic(config, "averaging_windows")
        elif name in ("futur", "futures"):
            config.note("feature_sets", name, "the same features of futures: add [[sources]] and [[features]] for them")
        else:
            config.note("feature_sets", name, "no such family")
    return made


def _classic(config: Source, windows_key: str) -> list[dict[str, Any]]:
    windows, areas, base = config.numbers(windows_key), config.numbers("area_windows"), config.count("base_window")
    tables = []
    if windows and base is not None:
        chosen = _CLASSIC_AVERAGES if areas else _CLASSIC_AVERAGES + _CLASSIC_TRENDS
        tables.append({"family": "klines", "windows": windows, "base_window": base, "functions": list(chosen)})
    else:
        _note_numbers(config, windows_key, windows, "windows need a base_window")
    if areas and base is not None:
        tables.append({"family": "klines", "windows": areas, "base_window": base, "functions": list(_CLASSIC_TRENDS)})
    else:
        _note_numbers(config, "area_windows", areas, "windows need a base_window")
    if base is not None and not tables:
        config.note("base_window", base, "a base_window needs windows")
    return tables


def _itblib(config: Source) -> dict[str, Any] | None:
    base, windows = config.count("base_window"), config.numbers("windows")
    if base is None or not windows:
        config.note("windows", windows, "klines need base_window and windows")
        if base is not None:
            config.note("base_window", base, "klines need base_window and windows")
        return None
    table: dict[str, Any] = {"family": "klines", "windows": windows, "base_window": base}
    if functions := config.texts("functions"):
        table["functions"] = functions
    if (differences := config.flag("use_differences")) is not None:
        table["use_differences"] = differences
    return table


def _talib(config: Source) -> dict[str, Any] | None:
    functions = config.texts("functions")
    if not functions:
        return None
    table: dict[str, Any] = {"family": "talib", "functions": functions}
    columns = config.table("columns")
    named = {key: text for key in sorted(_FIXED) if (text := columns.text(key)) is not None}
    if odd := {key: text for key, text in named.items() if COLUMNS.get(text, text) != key}:
        config.note("columns", odd, "these functions read high, low, close and volume by themselves")
        return None
    if inputs := config.texts("columns"):
        table["inputs"] = [COLUMNS.get(name, name) for name in inputs]
    if windows := config.numbers("windows"):
        table["windows"] = windows
    return table | _related(config.table("parameters"))


def _itbstats(config: Source) -> dict[str, Any] | None:
    functions, windows = config.texts("functions"), config.numbers("windows")
    if not functions or not windows:
        _note_numbers(config, "windows", windows, "itbstats need functions and windows")
        return None
    table: dict[str, Any] = {"family": "itbstats", "functions": functions, "windows": windows}
    if inputs := config.texts("columns"):
        table["inputs"] = [COLUMNS.get(name, name) for name in inputs]
    parameters = config.table("parameters")
    if (bias := parameters.flag("bias")) is not None:
        table["bias"] = bias
    return table | _related(parameters)


def _related(parameters: Source) -> dict[str, Any]:
    """Take what relates the windows of one function to each other."""
    found: dict[str, Any] = {}
    for key in ("rel_base", "rel_func"):
        if (text := parameters.text(key)) is not None:
            found[key] = text
    for key in ("percentage", "log"):
        if (flag := parameters.flag(key)) is not None:
            found[key] = flag
    return found


def _depth(config: Source) -> dict[str, Any]:
    table: dict[str, Any] = {"family": "depth"}
    if windows := config.numbers("windows"):
        table["windows"] = windows
    if (base := config.count("base_window")) is not None:
        table["base_window"] = base
    return table


def _note_numbers(config: Source, key: str, numbers: list[int | float], why: str) -> None:
    if numbers:
        config.note(key, numbers, why)


_GENERATORS: dict[str, Callable[[Source], dict[str, Any] | None]] = {
    "talib": _talib,
    "itbstats": _itbstats,
    "itblib": _itblib,
    "depth": _depth,
}
