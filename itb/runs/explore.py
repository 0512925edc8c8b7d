"""`itb explore`: one page to look at: bars, features, labels, scores and what they hang on."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.charts.data import MetricRow, Note
from itb.charts.explore_data import ExploreData
from itb.charts.wording import number, percent
from itb.config import parts
from itb.config.dump import config_hash
from itb.errors import ConfigError, ModelError
from itb.market.bars import utc
from itb.runs import explore_inputs as inputs
from itb.runs import explore_scores as scores
from itb.runs.capsule import versions
from itb.runs.looks import earlier_looks, enter_look, look_note
from itb.runs.model import grades, score_columns
from itb.runs.outputs import series_name
from itb.runs.said import Said
from itb.runs.steps import facts_of, markets, title
from itb.runs.strategy import choose_strategy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from itb.charts.data import Tone
    from itb.mlmodels.quality import ModelQuality
    from itb.runs.market import Market
    from itb.runs.scored import ScoredMarket
    from itb.runs.workspace import Workspace

PAGE = ".html"


def explore(workspace: Workspace, out: Path | None = None) -> Said:
    """Write one page for every configured symbol.

    Training is that of `itb walkforward` and is taken from its cache. Where scores are graded, the figures are entered
    into the register before they are shown. ``out`` is an ``.html`` file for one symbol, else a folder.
    """
    from itb.charts.explore_page import render_explore
    from itb.mlmodels.files import write_whole

    seen = [
        (_page_path(workspace, market, out), market, _Look(workspace, run_id, market).data())
        for run_id, market in markets(workspace, "explore")
    ]
    told, lines = [], []
    every = [data for _, _, data in seen]
    for path, market, data in seen:
        whole = _beside_other_coins(data, every)
        try:
            write_whole(path, render_explore(whole).encode())
        except OSError as error:
            why = error.strerror or error
            raise ConfigError(f"{path}: cannot be written: {why}; name another place with --out") from None
        told.append({"run": data.run_id, **facts_of(workspace, market), "file": str(path), **_facts(data)})
        lines.append(f"{title(market)}: {data.summary}")
        lines += [f"  {data.missing['scores']}"] if "scores" in data.missing else []
        lines.append(f"  written to {path}")
    return Said({"explore": told}, tuple(lines))


def _page_path(workspace: Workspace, market: Market, out: Path | None) -> Path:
    symbols = workspace.config.data.symbols
    name = f"{series_name(workspace, market.bars.symbol)}{PAGE}"
    if out is None:
        return workspace.runs / "explore" / name
    if out.suffix != PAGE:
        return out / name
    if len(symbols) > 1:
        raise ConfigError(f"--out: {out} is one page for {len(symbols)} symbols; name a folder, or one --symbol")
    return out


def _beside_other_coins(data: ExploreData, every: Sequence[ExploreData]) -> ExploreData:
    """Put the other coins' lines beside a coin's own, where the same column was learned of them."""
    found = []
    for column in data.columns:
        others = (
            line
            for other in every
            for theirs in other.columns
            if other is not data and theirs.name == column.name
            for line in theirs.profits
        )
        found.append(replace(column, profits=(*column.profits, *others)))
    return replace(data, columns=tuple(found))


def _facts(data: ExploreData) -> dict[str, Any]:
    return {
        "facts": {fact.name: fact.strategy for fact in data.facts},
        "columns": {column.name: column.sentence for column in data.columns},
        "missing": dict(data.missing),
    }


@dataclass(frozen=True, eq=False)
class _Look:
    """One market, looked at."""

    workspace: Workspace
    run_id: str
    market: Market

    def data(self) -> ExploreData:
        """Compute everything that the page shows."""
        workspace, market = self.workspace, self.market
        bars = market.bars
        scored, missing = self._scored()
        qualities = () if scored is None else grades(scored)
        workspace.report(0, 1, f"looking at {bars.symbol}")
        calendar, gaps = inputs.coverage(workspace, market)
        sight = self._features(scored)
        looks = None if scored is None else self._enter(scored, qualities)
        if sight.likeness is None:
            missing["likeness"] = "Fewer than three bars have every feature: nothing can be compared."
        elif not sight.pairs:
            missing["duplicates"] = f"No two features have a rank correlation of {inputs.COPIES:g} or more."
        shown = () if scored is None else tuple(scores.columns(workspace, scored, qualities))
        if shown and not any(column.weights for column in shown):
            missing["importance"] = "No model has spoken about a bar whose label is known."
        return ExploreData(
            title=f"{bars.label} · explore",
            summary=self._summary(sight, qualities),
            run_id=self.run_id,
            is_synthetic=market.is_synthetic,
            holdout_seen=market.holdout_seen,
            created=utc(workspace.clock()),
            period=f"{utc(bars.open_time[0])[:10]} to {utc(bars.open_time[-1])[:10]}",
            looks=looks,
            facts=tuple(self._tiles(sight, qualities)),
            notes=tuple(Note(text, tone) for text, tone in self._notes(scored, looks)),
            coverage=calendar,
            gaps=gaps,
            drift=sight.drift,
            drift_lead=sight.lead,
            histograms=sight.histograms,
            likeness=sight.likeness,
            clusters=sight.clusters,
            duplicates=sight.duplicates,
            labels=() if scored is None else tuple(inputs.labels(scored.walked)),
            metrics=None if scored is None else scores.metric_table(scored),
            columns=shown,
            missing=missing,
            manifest=self._manifest(scored),
        )

    def _scored(self) -> tuple[ScoredMarket | None, dict[str, str]]:
        """Train what is configured; where nothing can or need be trained, say why in each section that misses it."""
        if not choose_strategy(self.workspace, self.market.bars).reads_scores:
            name = self.workspace.config.strategy.name.rpartition(":")[2]
            why = f"The strategy {name} reads no score, so no model was trained."
        else:
            try:
                return score_columns(self.workspace, self.market), {}
            except ModelError as error:
                why = f"No model could be trained: {error}"
        return None, dict.fromkeys(("labels", "scores", "importance"), why)

    def _features(self, scored: ScoredMarket | None) -> inputs.FeatureSight:
        bars = self.market.bars
        if scored is not None:
            table = scored.walked[0].table
            return inputs.features(table.feature_names, table.features, bars.open_time, scored.walked[0].folds)
        made = parts.feature_set(self.workspace.config, bars.columns)
        return inputs.features(made.names, made.compute(bars), bars.open_time, ())

    def _enter(self, scored: ScoredMarket, qualities: Sequence[ModelQuality]) -> int | None:
        """Enter the look before anything is shown, and say the how-manieth it is."""
        told = [np.flatnonzero(np.isfinite(walked.scores)) for walked in scored.walked]
        first = min((int(rows[0]) for rows in told if len(rows)), default=None)
        if first is None:
            return None
        window = self.market.bars.slice(first, None)
        metrics = {
            f"{quality.column}.{name}": value
            for quality in qualities
            for name, value in {"skill": quality.pooled.skill, **asdict(quality.pooled)}.items()
        }
        before, trials = earlier_looks(self.workspace, self.market, window), len(qualities)
        enter_look(
            self.workspace,
            self.market,
            window,
            run_id=self.run_id,
            command="explore",
            metrics=metrics,
            trials=trials,
        )
        return before + trials

    def _tiles(self, sight: inputs.FeatureSight, qualities: Sequence[ModelQuality]) -> Iterator[MetricRow]:
        def tile(name: str, value: str, tone: Tone = "plain") -> MetricRow:
            return MetricRow(name, value, tone=tone, is_headline=True)

        missing = self.market.missing
        yield tile("Bars", f"{len(self.market.bars):,}")
        yield tile("Missing bars", f"{missing:,}", "warn" if missing else "plain")
        yield tile("Features", f"{len(sight.drift.rows)}")
        yield tile("Clusters of them", f"{sight.groups}")
        yield tile("Near-duplicates", f"{sight.pairs:,}", "warn" if sight.pairs else "plain")
        yield tile(f"Moved (PSI ≥ {inputs.MOVED:g})", f"{sight.moved}", "warn" if sight.moved else "plain")
        for quality in qualities[:6]:
            name, value, _ = quality.pooled.headline
            yield tile(f"{name} of {quality.column}", number(value, 3))

    def _notes(self, scored: ScoredMarket | None, looks: int | None) -> Iterator[tuple[str, Tone]]:
        market = self.market
        if market.is_synthetic:
            yield "Synthetic market: it says nothing about real coins.", "warn"
        if market.missing:
            policy = {"flat": "filled flat with volume 0", "drop": "left out"}.get(self.workspace.config.data.gaps, "")
            yield f"{market.missing:,} missing bars were {policy or 'found'}; the calendar shows where.", "plain"
        for source in market.sources:
            yield from ((note, "warn") for note in source.notes)
        if scored is not None:
            yield from ((note, "plain") for note in scored.notes)
        yield market.holdout.note, "bad" if market.holdout_seen else "plain"
        if looks is not None:
            yield look_note(looks)

    def _summary(self, sight: inputs.FeatureSight, qualities: Sequence[ModelQuality]) -> str:
        kind = "synthetic" if self.market.is_synthetic else "real"
        count, moved = len(sight.drift.rows), sight.moved
        told = f"{len(self.market.bars):,} {kind} bars and {count} features in {sight.groups} clusters; "
        told += f"{moved} of them ({percent(moved / count, 0, signed=False)}) lie elsewhere since the last full refit."
        if not qualities:
            return told
        best = max(qualities, key=lambda one: np.nan_to_num(one.pooled.headline[1] - one.pooled.headline[2], nan=-9.0))
        which = (
            "" if len(qualities) == 1 else f"Of {len(qualities)} score columns {best.column} ranks best, as one must: "
        )
        return f"{told} {which}{best.pooled.sentence}"

    def _manifest(self, scored: ScoredMarket | None) -> dict[str, Any]:
        columns = [] if scored is None else [(one.column, one.fingerprint) for one in scored.walked]
        return {
            "bars": facts_of(self.workspace, self.market),
            "config_hash": config_hash(self.workspace.config),
            "columns": dict(columns),
            "rows": {
                "drift_at_most": inputs.DRIFT_ROWS,
                "likeness_at_most": inputs.LIKENESS_ROWS,
                "seed": inputs.SEED,
                "permutation_repeats": scores.REPEATS,
            },
            "versions": versions(),
        }
