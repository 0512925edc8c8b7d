"""The page of a search: sections in the order in which a sceptic asks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from itb.charts import html_parts as parts
from itb.charts.data import Table
from itb.charts.encoding import escape
from itb.charts.model_figures import importance_figure
from itb.charts.search_figures import front_figures, halves_figure, history_figure, logits_figure, worth_figure
from itb.charts.search_maps import drift_map, plateau_figure, slice_figures, window_map
from itb.charts.shell import Drawing, Section, document

if TYPE_CHECKING:
    from itb.charts.search_data import Fact, SearchReport, Trials, VerdictWords

_THRESHOLDS = ("buy_threshold", "sell_threshold")
_LEAD_WORTH = (
    "The nested line is the headline: for each window it trades what was best on the windows before, in one account. "
    "The best trial is what hindsight would have picked."
)
_LEAD_CHOOSING = "Does a setting that was good stay good? If not, picking the best is picking luck."
_LEAD_SETTINGS = "Which settings moved the objective, and whether the best point stands on a plateau or on a spike."


def render_search(data: SearchReport) -> str:
    """Write the page."""
    draw = Drawing()
    sections = _sections(data, draw)
    made = f", written {escape(data.created)}" if data.created else ""
    return document(
        data.title,
        data.summary,
        sections,
        draw.figures,
        badges=parts.badges(is_synthetic=data.is_synthetic, is_free=data.is_free, holdout_seen=data.holdout_seen),
        meta=f"<span>study <code>{escape(data.study)}</code></span>"
        + (f"<span>{escape(data.period)}</span>" if data.period else ""),
        footer=f"Study {escape(data.study)}{made}. Days are UTC. Past results promise nothing.",
    )


def _sections(data: SearchReport, draw: Drawing) -> list[Section]:
    trials = data.trials
    worth = draw(worth_figure(data.lines, data.crowd)) if any(len(line.day) for line in data.lines) else ""
    return [
        Section("verdict", "Verdict" if data.verdict and data.verdict.word else "Result", _verdict(data)),
        Section("equity-section", "Out of sample", worth, _LEAD_WORTH if data.crowd is not None else ""),
        Section("history-section", "History", draw(history_figure(trials)) if trials and len(trials.number) else ""),
        Section("choosing", "Does choosing work", _choosing(data, draw), _LEAD_CHOOSING),
        Section("windows", "Windows", draw(window_map(data.windows)) if data.windows else ""),
        Section("settings", "Settings", _settings(data, draw), _LEAD_SETTINGS),
        Section("front", "Front", _grid("two", draw(*front_figures(trials))) if trials else ""),
        Section("drift-section", "Drift", _drift(data, draw)),
        Section("best", "Best trials", parts.table(data.best) if data.best and data.best.rows else ""),
        Section("evaluation", "Evaluation", _evaluation(data)),
        Section("manifest", "Manifest", parts.manifest(data.manifest), "Everything needed to search this again."),
    ]


def _verdict(data: SearchReport) -> str:
    said = data.verdict
    notes = parts.notes((*(said.remarks if said else ()), *data.notes))
    listed = f'<ul class="notes">{notes}</ul>' if notes else ""
    if said is None:
        return listed
    head = (
        f'<div class="verdict {said.tone}"><p class="word">{escape(said.word)}</p><p>{escape(_why(said))}</p></div>'
        if said.word
        else ""
    )
    facts = "".join(_fact(fact) for fact in said.facts)
    rows = parts.table(Table(("Figure", "What it says"), said.rows)) if said.rows else ""
    return head + (f'<div class="tiles facts">{facts}</div>' if facts else "") + listed + rows


def _why(said: VerdictWords) -> str:
    why = said.line.removeprefix(f"{said.word}: ")
    return why[:1].upper() + why[1:] + "."


def _fact(fact: Fact) -> str:
    return (
        f'<div class="tile"><h3>{escape(fact.name)}</h3><p class="value {fact.tone}">{escape(fact.value)}</p>'
        f'<p class="beside">{escape(fact.wanted)}</p></div>'
    )


def _choosing(data: SearchReport, draw: Drawing) -> str:
    figures = [] if data.halves is None or not len(data.halves.number) else [halves_figure(data.halves)]
    if data.logits is not None and len(data.logits):
        figures.append(logits_figure(data.logits))
    return _grid("two", draw(*figures))


def _settings(data: SearchReport, draw: Drawing) -> str:
    trials = data.trials
    if trials is None or not np.isfinite(trials.objective).any():
        return ""
    pair = plane(trials)
    if isinstance(data.importance, str):
        left = f'<p class="empty">{escape(data.importance)}</p>' if data.importance else ""
    else:
        shares = importance_figure(data.importance, "importance", "What moved the objective", "settings")
        left = draw(replace(shares, height=max(shares.height, 460)) if pair else shares)
    right = draw(plateau_figure(trials, *pair)) if pair else ""
    slices = _grid("three", draw(*slice_figures(trials)))
    return _grid("two", left + right) + slices


def plane(trials: Trials) -> tuple[int, int] | None:
    """Choose the two parameters whose plane is drawn: the thresholds, else the first two that are numbers and vary."""
    known = np.isfinite(trials.objective)
    numbers = [
        place
        for place, parameter in enumerate(trials.parameters)
        if not parameter.choices and len(np.unique(parameter.values[known & np.isfinite(parameter.values)])) > 2
    ]
    named = {trials.parameters[place].short: place for place in numbers}
    if all(name in named for name in _THRESHOLDS):
        return named[_THRESHOLDS[0]], named[_THRESHOLDS[1]]
    return (numbers[0], numbers[1]) if len(numbers) > 1 else None


def _drift(data: SearchReport, draw: Drawing) -> str:
    figure = draw(drift_map(data.drift)) if data.drift and data.drift.parameters and data.drift.windows else ""
    return figure + (parts.table(data.choices) if data.choices and data.choices.rows else "")


def _evaluation(data: SearchReport) -> str:
    listed = (("Who evaluated", data.engines), ("Without a result", data.failures), ("Hold-out", data.holdout))
    return "".join(f"<h3>{name}</h3>{parts.table(table)}" for name, table in listed if table and table.rows)


def _grid(kind: str, html: str) -> str:
    return f'<div class="grid {kind}">{html}</div>' if html else ""
