"""Signal sets, the older signal model and the grid of intelligent-trading-bot as our signals and simulation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from itb.config.foreign.source import Source
from itb.config.values import plain_moment, to_moment

_HOW = ("difference", "relative")


def signal_sets(config: Source) -> list[dict[str, Any]]:
    """Translate ``signal_sets`` into the tables of ``[[signals]]``."""
    made: list[dict[str, Any]] = []
    for entry in config.tables("signal_sets"):
        generator = entry.text("generator") or ""
        for key in ("column_prefix", "feature_prefix"):
            entry.lose(key, "signals read and make columns by their whole names")
        inner = entry.table("config")
        if generator in ("smoothen", "combine"):
            made.append({"kind": generator, **(_smoothen(inner) if generator == "smoothen" else _combine(inner))})
        elif generator in ("threshold_rule", "threshold_rule2"):
            made.append({"kind": generator, **_rule(generator, inner)})
        else:
            why = "code of your own" if ":" in generator else "no such signal"
            entry.note("generator", generator, why)
            inner.lose_rest("its generator has no counterpart")
    return made


def _smoothen(config: Source) -> dict[str, Any]:
    table: dict[str, Any] = {"columns": config.texts("columns"), **_name(config)}
    if (threshold := config.number("point_threshold")) is not None:
        table["point_threshold"] = threshold
    if (window := config.number("window")) is not None:
        table["window"] = window
    return table


def _combine(config: Source) -> dict[str, Any]:
    how = config.text("combine")
    if how not in (*_HOW, None, "larger"):
        config.note("combine", how, "what is neither difference nor relative is the larger of the two, as there")
    table: dict[str, Any] = {
        "columns": config.texts("columns"),
        **_name(config),
        "combine": how if how in _HOW else "larger",
    }
    return table | _scale(config)


def _name(config: Source) -> dict[str, str]:
    names = config.texts("names")
    return {"names": names[0]} if names else {}


def _rule(generator: str, config: Source) -> dict[str, Any]:
    columns = config.texts("columns")
    single = generator == "threshold_rule" and len(columns) == 1
    parameters = config.table("parameters")
    found = {
        key: number
        for side in ("buy", "sell")
        for key in (f"{side}_signal_threshold", f"{side}_signal_threshold_2")
        if (number := parameters.number(key)) is not None
    }
    return {"columns": columns[0] if single else columns, "names": config.texts("names"), **found}


def signal_model(config: Source, scores: Sequence[str]) -> list[dict[str, Any]]:
    """Translate ``signal_model`` over ``buy_labels`` and ``sell_labels``; ``scores`` names the algorithms."""
    buys, sells = config.texts("buy_labels"), config.texts("sell_labels")
    model = config.table("signal_model")
    how = model.text("combine")
    if not buys or not sells or how is None:
        for key, labels in (("buy_labels", buys), ("sell_labels", sells)):
            if labels:
                config.note(key, labels, "without a signal_model that combines them there is no rule")
        if how is not None:
            model.note("combine", how, "it combines buy_labels and sell_labels")
        return []
    made = [_side(model, side, labels, scores) for side, labels in (("buy", buys), ("sell", sells))]
    both: dict[str, Any] = {"kind": "combine", "columns": ["buy_score", "sell_score"], "names": "trade_score"}
    both |= {"combine": how if how in _HOW else "larger", **_scale(model)}
    return [*made, both, *_last_rule(model)]


def _side(model: Source, side: str, labels: Sequence[str], scores: Sequence[str]) -> dict[str, Any]:
    table: dict[str, Any] = {
        "kind": "smoothen",
        "columns": [f"{label}_{name}" for label in labels for name in scores],
        "names": f"{side}_score",
    }
    for theirs, ours in ((f"{side}_point_threshold", "point_threshold"), (f"{side}_window", "window")):
        if (number := model.number(theirs)) is not None:
            table[ours] = number
    return table


def _last_rule(model: Source) -> list[dict[str, Any]]:
    found = {key: model.number(key) for key in ("buy_signal_threshold", "sell_signal_threshold")}
    given = {key: number for key, number in found.items() if number is not None}
    if len(given) == len(found):
        return [{"kind": "threshold_rule", "columns": "trade_score", "names": ["buy", "sell"], **given}]
    for key, number in given.items():
        model.note(key, number, "a rule needs both thresholds")
    return []


def _scale(config: Source) -> dict[str, Any]:
    """Take what a combined score is multiplied by, and what is added to it."""
    scale: dict[str, Any] = {}
    for key in ("coefficient", "constant"):
        number = config.number(key)
        if number:
            scale[key] = number
        elif number is not None:
            config.note(key, number, "0 counts as not given, as there")
    return scale


def simulation(config: Source, signals: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Translate ``simulate_model`` into ``[simulate]``."""
    model = config.table("simulate_model")
    found: dict[str, Any] = {}
    for theirs, ours in (("data_start", "from"), ("data_end", "to")):
        if (moment := date_of(model, theirs)) is not None:
            found[ours] = moment
    if (direction := model.text("direction")) is not None:
        found["direction"] = direction if direction in ("long", "short", "both") else "both"
        if found["direction"] != direction:
            model.note("direction", direction, "written as both")
    if (count := model.count("topn_to_store")) is not None:
        found["topn_to_store"] = count
    if (equal := model.flag("buy_sell_equal")) is not None:
        found["buy_sell_equal"] = equal
    varied = model.text("signal_generator")
    if varied is not None and (not signals or signals[-1]["kind"] != varied):
        model.note("signal_generator", varied, "the grid varies the last signal, which must be the rule")
    listed = model.table("grid")
    if equal:
        for name in ("sell_signal_threshold", "sell_signal_threshold_2"):
            listed.lose(name, "buy_sell_equal sets it")
    grid = {
        name: numbers
        for side in ("buy", "sell")
        for name in (f"{side}_signal_threshold", f"{side}_signal_threshold_2")
        if (numbers := listed.numbers(name))
    }
    listed.lose_rest("expressions are not evaluated: list the numbers, or write { from = , to = , step = }")
    return found | ({"grid": grid} if grid else {})


def date_of(config: Source, key: str) -> str | None:
    """Take a date as text; a number of rows, or a text that is none, stays."""
    text = config.text(key)
    if text is None:
        return None
    try:
        return plain_moment(to_moment(text))
    except ValueError:
        config.note(key, text, "no date")
        return None
