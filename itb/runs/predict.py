"""`itb predict`: stored models speak about the configured bars, each bar by the model that may speak about it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.charts.data import Table
from itb.charts.wording import number
from itb.config import parts
from itb.config.columns import columns
from itb.config.plugins import plugin_files
from itb.datafeeds.files import IN_SAMPLE
from itb.errors import ConfigError, ModelError
from itb.market.bars import utc
from itb.runs.capsule import series_of, versions
from itb.runs.deep import is_deep
from itb.runs.inputs import file_hash
from itb.runs.looks import earlier_looks, enter_look, look_note
from itb.runs.market import fingerprint
from itb.runs.networks import are_networks, bars_beside, spoken_networks
from itb.runs.outputs import Output, output_path, series_name
from itb.runs.pool import is_pooled
from itb.runs.said import Said
from itb.runs.steps import facts_of, markets, stamps, title
from itb.runs.train import POOL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from itb.mlmodels.speakers import Speaker, Spoken
    from itb.runs.market import Market
    from itb.runs.workspace import Workspace


@dataclass(frozen=True)
class Asked:
    """What a person wants of ``itb predict`` beside the models."""

    out: Path | None = None
    in_sample: bool = False
    metrics: bool = False


def predict(workspace: Workspace, models: Sequence[Path] = (), asked: Asked = Asked()) -> Said:
    """Score the bars of every configured symbol by stored models; write scores and, bar by bar, which model spoke.

    ``models`` are files that `itb train` wrote, timelines, or folders of either; empty takes what `itb train` wrote
    last for the symbol. A bar that a model learned from, and any before it, has no score, unless ``in_sample`` is
    asked for: such rows are marked, and a backtest refuses the file. Where a file is there that the same models wrote
    about the beginning of the same bars, only the new bars are scored. ``metrics`` also grades the scores, which is a
    look, and writes the grades beside them.
    """
    lines: list[str] = []
    told: list[dict[str, Any]] = []
    rows: list[tuple[str, ...]] = []
    for run_id, market in markets(workspace, "predict"):
        work = _Work(workspace, market, asked)
        said = work.write(work.speakers(models))
        told.append({"run": run_id, **said})
        lines += work.lines(said)
        if asked.metrics:
            graded = work.graded(run_id)
            told[-1]["metrics"] = graded
            rows += [(market.bars.symbol, *row) for row in _rows(graded)]
            lines += work.told
    head = ("symbol", "score column", "rows", "auc", "ap", "f1", "precision", "recall", "mae", "r2", "ic")
    return Said({"predictions": told}, tuple(lines), Table(head, tuple(rows)) if rows else None)


class _Work:
    """One symbol's predictions."""

    def __init__(self, workspace: Workspace, market: Market, asked: Asked) -> None:
        self.workspace, self.market, self.asked = workspace, market, asked
        self.path = output_path(workspace, "predict", market, asked.out)
        self.scores: dict[str, Any] = {}
        self.told: list[str] = []

    def speakers(self, models: Sequence[Path]) -> Mapping[str, tuple[Speaker, ...]]:
        """Find the models, those named or the last that were trained for this symbol, in the order of the config."""
        from itb.mlmodels.speakers import find_speakers

        config, symbol = self.workspace.config, self.market.bars.symbol
        series = series_name(self.workspace, symbol)
        named = [model / series if (model / series).is_dir() else model for model in models]
        delay_ms = config.walkforward.refit_delay_bars * config.data.timeframe.ms
        found = find_speakers(named or [self._last_trained()], delay_ms)
        order = [column.name for column in columns(config)]
        return dict(
            sorted(found.items(), key=lambda one: (order.index(one[0]) if one[0] in order else len(order), one[0]))
        )

    def _last_trained(self) -> Path:
        symbol, timeframe = self.market.bars.symbol, self.workspace.config.data.timeframe
        has_pool = is_pooled(self.workspace) and not all(is_deep(column) for column in columns(self.workspace.config))
        name = POOL if has_pool else series_of(symbol)
        folder = self.workspace.runs / "models"
        found = sorted(folder.glob(f"*-{name}-{timeframe}-*")) if folder.is_dir() else []
        if not found:
            raise ConfigError(
                f"{symbol} {timeframe}: no trained model in {folder}; run `itb train`, or name a model file, a "
                "timeline or a folder of them"
            )
        return found[-1]

    def write(self, speakers: Mapping[str, tuple[Speaker, ...]]) -> dict[str, Any]:
        """Score what is new, write everything, and say what was done."""
        from itb.mlmodels.speakers import speak

        workspace, bars = self.workspace, self.market.bars
        by_rows = any(not are_networks(models) for models in speakers.values())
        features = parts.feature_set(workspace.config, bars.columns) if by_rows else None
        file = Output(self.path, self._made_of(speakers, features))
        before = self._before(file, speakers)
        start = 0 if before is None else before.num_rows
        workspace.report(0, len(speakers) + 1, f"computing features of {bars.symbol}")
        matrix = np.zeros((len(bars), 1), dtype=np.float32)
        if features is not None and start < len(bars):
            matrix = features.compute(bars)
        table: dict[str, Any] = {"timestamp": stamps(self.market)}
        scored = 0
        for done, (column, models) in enumerate(speakers.items(), start=1):
            workspace.report(done, len(speakers) + 1, f"{column} of {bars.symbol}")
            how: dict[str, Any] = {"in_sample": self.asked.in_sample, "start": start}
            if features is None or are_networks(models):
                spoken = spoken_networks(workspace, self.market, models, **how)
            else:
                spoken = speak(models, matrix, features.names, bars.open_time, coin=bars.symbol, **how)
            table |= _joined(column, before, spoken, [model.path.name for model in models], self.asked.in_sample, start)
            self.scores[column] = np.asarray(table[column].to_numpy(zero_copy_only=False), dtype=np.float64)
            scored += int(np.isfinite(spoken.scores).sum())
        if not any(np.isfinite(scores).any() for scores in self.scores.values()):
            first = min(model.speaks_from for models in speakers.values() for model in models)
            raise ModelError(
                f"{bars.label}: no bar comes after what the models learned from: the first may speak from {utc(first)} "
                f"on, the last bar is {utc(bars.open_time[-1])}. Load newer bars, train until an earlier data.to, or "
                "say --in-sample, which marks the file and bars it from backtests"
            )
        facts = {
            **facts_of(workspace, self.market),
            "columns": list(speakers),
            "models": {column: [str(model.path) for model in models] for column, models in speakers.items()},
            "in_sample": self.asked.in_sample,
            "beside": self._beside(len(bars), speakers),
        }
        if before is None or start < len(bars):
            import pyarrow as pa

            file.write(pa.table(table), facts)
        return {**facts, "file": str(self.path), "scored_now": scored, "kept": start}

    def lines(self, said: Mapping[str, Any]) -> Iterator[str]:
        """Say for each column how many bars have a score, and from when on."""
        bars = self.market.bars
        for column, models in said["models"].items():
            known = np.flatnonzero(np.isfinite(self.scores[column]))
            since = f" from {utc(bars.open_time[known[0]])} on" if len(known) else ""
            who = f"{len(models)} model" + ("s" if len(models) > 1 else "")
            yield f"{title(self.market)}: {column}: {len(known):,} of {len(bars):,} bars scored by {who}{since}"
        if said["in_sample"]:
            yield "  in sample: the models had learned from some of these bars, so the scores prove nothing"
        kept = f"{said['kept']:,} bars were scored before" if said["kept"] else ""
        yield f"  written to {self.path}" + (f", {kept}" if kept else "")

    def graded(self, run_id: str) -> list[dict[str, Any]]:
        """Grade the columns whose label the config has, enter the look, and write the grades beside the scores."""
        import pyarrow as pa

        from itb.mlmodels.labels.column import typical_reach
        from itb.mlmodels.prediction_metrics import prediction_metrics

        workspace, bars = self.workspace, self.market.bars
        learned = {column.name: column for column in columns(workspace.config)}
        found: list[dict[str, Any]] = []
        for name, scores in self.scores.items():
            if name not in learned:
                self.told.append(f"  {name}: not graded, the config has no such column; it has {', '.join(learned)}")
                continue
            label = learned[name].outcome(bars)
            figures = prediction_metrics(
                label.values,
                scores,
                is_classifier=learned[name].taught.is_classifier,
                horizon=typical_reach(label.known_at),
            )
            found.append({"column": name, **figures})
        if not found:
            return []
        first = min(int(np.isfinite(self.scores[one["column"]]).argmax()) for one in found)
        window = bars.slice(first, None)
        looks = earlier_looks(workspace, self.market, window)
        shown = {f"{one['column']}.{name}": value for one in found for name, value in one.items() if name != "column"}
        enter_look(workspace, self.market, window, run_id=run_id, command="predict", metrics=shown, trials=len(found))
        beside = Output(self.path.with_name(f"{self.path.stem}-metrics{self.path.suffix}"), run_id)
        beside.write(pa.Table.from_pylist(found), {"in_sample": self.asked.in_sample})
        self.told += [f"  metrics in {beside.path}", f"  {self.market.holdout.note}"]
        self.told.append(f"  {look_note(looks + len(found))[0]}")
        return found

    def _made_of(self, speakers: Mapping[str, tuple[Speaker, ...]], features: object) -> str:
        named = {column: [model.path.name for model in models] for column, models in speakers.items()}
        delays = [model.speaks_from for models in speakers.values() for model in models]
        plugins = [file_hash(path) for path in plugin_files(self.workspace.config)]
        text = repr((named, delays, features, self.asked.in_sample, plugins, sorted(versions().items())))
        return hashlib.sha256(text.encode()).hexdigest()

    def _beside(self, count: int, speakers: Mapping[str, tuple[Speaker, ...]]) -> dict[str, str]:
        """Give the fingerprints of the other symbols' bars up to the last of ``count``, where a network reads them."""
        if not any(are_networks(models) for models in speakers.values()):
            return {}
        symbol, until = self.market.bars.symbol, int(self.market.bars.open_time[count - 1]) + 1
        beside = bars_beside(self.workspace, self.market)
        return {name: fingerprint(bars.between(None, until)) for name, bars in beside.items() if name != symbol}

    def _before(self, file: Output, speakers: Mapping[str, tuple[Speaker, ...]]) -> pa.Table | None:
        """Give the table that the same models wrote about the beginning of the same bars."""
        import pyarrow.parquet as pq

        facts, bars = file.facts(), self.market.bars
        if facts is None or not 0 < facts["bars"] <= len(bars):
            return None
        if facts["data_fingerprint"] != fingerprint(bars.head(facts["bars"])):
            return None
        if facts.get("beside", {}) != self._beside(facts["bars"], speakers):
            return None
        return pq.read_table(file.path)


def _joined(
    column: str, before: pa.Table | None, spoken: Spoken, models: Sequence[str], in_sample: bool, start: int
) -> dict[str, Any]:
    """Put the new rows of a column behind those that are there."""
    import pyarrow as pa

    who = pa.array(np.array([*models, None], dtype=object)[spoken.speaker[start:]], pa.string())
    new = {column: pa.array(spoken.scores[start:]), f"{column}_model": who}
    if in_sample:
        new[f"{column}{IN_SAMPLE}"] = pa.array(np.asarray(spoken.in_sample[start:], dtype=np.bool_))
    if before is None:
        return new
    return {name: pa.concat_arrays([before[name].combine_chunks(), values]) for name, values in new.items()}


def _rows(graded: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    for one in graded:
        figures = ("auc", "ap", "f1", "precision", "recall", "mae", "r2", "ic")
        yield str(one["column"]), f"{one['rows']:,}", *(number(one[name], 3) for name in figures)
