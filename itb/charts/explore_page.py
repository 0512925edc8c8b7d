"""The page of `itb explore`: from the bars to what a model makes of them, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from itb.charts import html_parts as parts
from itb.charts.encoding import escape
from itb.charts.explore_figures import coverage_figure, histogram_figure, label_figure, likeness_figure
from itb.charts.explore_scores import (
    both_calibrations_figure,
    ladder_figure,
    profit_figure,
    swarm_figure,
    weights_figure,
)
from itb.charts.shell import Drawing, Section, document

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from itb.charts.data import Table
    from itb.charts.explore_data import ColumnSight, ExploreData

_OPEN = 2  # columns whose pictures are shown at once; the others wait to be opened

_LIKENESS = (
    "Features in an order in which those that say the same stand together. Of near-duplicates one is enough: the "
    "other costs time, and the two share whatever importance they have."
)
_LABELS = (
    "What each refit was taught, and what came afterwards. Labels that share bars tell one story several times: rows "
    "times uniqueness is about the number of stories."
)
_SCORES = (
    "Out of sample: every score was given by a model that had learned only from labels known before. The figures are "
    "of one history, though, and looking at them is counted."
)
_IMPORTANCE = (
    "What the models that spoke hang on. Gain is what training rows made of a feature; permutation and contributions "
    "are taken on rows that no model had learned from, each by the model that scored it."
)


def render_explore(data: ExploreData) -> str:
    """Write the page of one market."""
    draw = Drawing()
    looks = "" if data.looks is None else f"<span>look no. {data.looks:,} at this stretch of market</span>"
    made = f", written {escape(data.created)}" if data.created else ""
    return document(
        data.title,
        data.summary,
        _sections(data, draw),
        draw.figures,
        badges=parts.badges(is_synthetic=data.is_synthetic, is_free=False, holdout_seen=data.holdout_seen),
        meta=f"<span>run <code>{escape(data.run_id)}</code></span><span>{escape(data.period)}</span>{looks}",
        footer=f"Run {escape(data.run_id)}{made}. Times are UTC. Past results promise nothing.",
    )


def _sections(data: ExploreData, draw: Drawing) -> list[Section]:
    return [
        Section("overview", "Overview", _overview(data)),
        Section("coverage-section", "Coverage", _coverage(data, draw)),
        Section("features", "Features", _features(data, draw), data.drift_lead),
        Section("likeness-section", "Likeness", _likeness(data, draw), _LIKENESS),
        Section("labels", "Labels", _labels(data, draw), _LABELS),
        Section("scores", "Scores", _scores(data, draw), _SCORES if data.columns else ""),
        Section("importance", "Importance", _importance(data, draw), _IMPORTANCE if data.columns else ""),
        Section("manifest", "Manifest", parts.manifest(data.manifest), "Everything needed to look at this again."),
    ]


def _overview(data: ExploreData) -> str:
    tiles, notes = parts.tiles(data.facts), parts.notes(data.notes)
    return (f'<div class="tiles">{tiles}</div>' if tiles else "") + (f'<ul class="notes">{notes}</ul>' if notes else "")


def _coverage(data: ExploreData, draw: Drawing) -> str:
    if data.coverage is None:
        return _sentence(data, "coverage")
    return draw(coverage_figure(data.coverage)) + _table("Longest gaps", data.gaps)


def _features(data: ExploreData, draw: Drawing) -> str:
    if data.drift is None:
        return _sentence(data, "features")
    drawn = draw(*(histogram_figure(pair, f"drift-{place}") for place, pair in enumerate(data.histograms)))
    small = f'<h3>Those that moved most</h3><div class="grid three">{drawn}</div>' if drawn else ""
    return f"{small}<h3>Every feature</h3>{parts.table(data.drift)}"


def _likeness(data: ExploreData, draw: Drawing) -> str:
    if data.likeness is None:
        return _sentence(data, "likeness")
    near = _table("Near-duplicates", data.duplicates) or "<h3>Near-duplicates</h3>" + _empty(data.missing, "duplicates")
    return draw(likeness_figure(data.likeness)) + near + _table("Clusters", data.clusters)


def _labels(data: ExploreData, draw: Drawing) -> str:
    if not data.labels:
        return _sentence(data, "labels")
    return draw(*(label_figure(label, f"label-{place}") for place, label in enumerate(data.labels)))


def _scores(data: ExploreData, draw: Drawing) -> str:
    if not data.columns:
        return _sentence(data, "scores")

    def one(column: ColumnSight, place: int) -> str:
        curve = both_calibrations_figure(column.before, column.after, f"calibration-{place}")
        small = [ladder_figure(column.ladder, f"ladder-{place}")] if column.ladder is not None else []
        small += [curve] if curve is not None else []
        wide = [profit_figure(column.profits, column.profits[0].coin, f"profit-{place}")] if column.profits else []
        said = f'<p class="lead">{escape(column.sentence)}</p>' if column.sentence else ""
        missing = "".join(f'<p class="hint">{escape(why)}</p>' for why in column.missing)
        return f'{said}<div class="grid two">{draw(*small)}</div>{draw(*wide)}{missing}'

    return (parts.table(data.metrics) if data.metrics is not None else "") + _by_column(data, one)


def _importance(data: ExploreData, draw: Drawing) -> str:
    if not any(column.weights for column in data.columns):
        return _sentence(data, "importance")

    def one(column: ColumnSight, place: int) -> str:
        if not column.weights:
            return ""
        drawn = [weights_figure(one, column.features, f"weight-{place}-{n}") for n, one in enumerate(column.weights)]
        drawn += [swarm_figure(column.swarm, f"swarm-{place}")] if column.swarm is not None else []
        return f'<div class="grid two">{draw(*drawn)}</div>'

    return _by_column(data, one)


def _by_column(data: ExploreData, one: Callable[[ColumnSight, int], str]) -> str:
    """Show every column's pictures under its name; those that come late wait until they are opened."""
    shown = [(column, one(column, place)) for place, column in enumerate(data.columns)]
    shown = [(column, html) for column, html in shown if html]
    if len(shown) == 1:
        return f"<h3>{escape(shown[0][0].name)}</h3>{shown[0][1]}"
    return "".join(
        f'<details class="column"{" open" if place < _OPEN else ""}><summary>{escape(column.name)}</summary>'
        f"<div>{html}</div></details>"
        for place, (column, html) in enumerate(shown)
    )


def _table(name: str, table: Table | None) -> str:
    return f"<h3>{name}</h3>{parts.table(table)}" if table is not None and table.rows else ""


def _sentence(data: ExploreData, section: str) -> str:
    return _empty(data.missing, section) if section in data.missing else ""


def _empty(missing: Mapping[str, str], section: str) -> str:
    why = missing.get(section, "None.")
    return f'<p class="empty">{escape(why)}</p>'
