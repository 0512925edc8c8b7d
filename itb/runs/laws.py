"""`itb check`: the laws, run on everything the config names."""

from __future__ import annotations

import dataclasses
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.backtest.run import Backtest, TradedMarket
from itb.charts.data import Table
from itb.config import parts
from itb.config.columns import columns
from itb.config.plugins import load_plugins
from itb.engine.venue import Venue
from itb.errors import FeatureError
from itb.indicators.score import ArrayScores
from itb.laws.causal import check_causal
from itb.laws.leak import check_apart, check_labels, check_no_leak, check_purged
from itb.laws.reproducible import check_reproducible
from itb.laws.result import LawResult
from itb.laws.sources import check_joined
from itb.laws.warmup import check_warmup
from itb.mlmodels.table import TrainingTable
from itb.runs.capsule import new_run_id
from itb.runs.deep import is_deep
from itb.runs.deep_checks import check_network
from itb.runs.evaluate import cut_of
from itb.runs.law_checks import BROKEN, HOLDS, UNCHECKED, Finding, check_shared_strategy, check_strategy, of
from itb.runs.market import load_market
from itb.runs.model import score_ranges, walk_forward
from itb.runs.pool import is_pooled
from itb.runs.pool_checks import check_pool
from itb.runs.said import Said
from itb.runs.signal_checks import check_signals
from itb.runs.stage_checks import check_stack, check_stages
from itb.runs.strategy import choose_strategy
from itb.runs.venue import build_venue

if TYPE_CHECKING:
    from itb.config.columns import LearnedColumn
    from itb.datafeeds.sources import Joined
    from itb.indicators.feature import Feature
    from itb.indicators.feature_set import FeatureSet
    from itb.market.bars import Bars, FloatArray
    from itb.mlmodels.algorithm import FloatMatrix
    from itb.mlmodels.labels import Label
    from itb.mlmodels.result import WalkForwardResult
    from itb.mlmodels.walkforward import WalkForward
    from itb.runs.market import Market
    from itb.runs.strategy import ChosenStrategy
    from itb.runs.workspace import Workspace

_BARS, _MOST_BARS = 2_000, 20_000  # bars a feature is tried on, at least and (unless its warm-up needs more) at most
_TRAIN_ROWS, _REFIT_BARS, _REFITS = 1_500, 500, 3  # the small walk-forward
_STRATEGY_BARS = 3_000  # for a strategy that reads no score


@dataclass(frozen=True, eq=False)
class _Bench:
    """What the laws are tried on."""

    workspace: Workspace
    market: Market
    features: FeatureSet
    chosen: ChosenStrategy
    columns: tuple[LearnedColumn, ...]
    walk: WalkForward
    traded: list[TradedMarket] = field(default_factory=list)  # what a strategy on a shared account is checked on

    @property
    def bars(self) -> Bars:
        return self.market.bars

    @property
    def small(self) -> WalkForward | None:
        """The configured walk-forward in small, so that it takes seconds; ``None`` where bars are too few for it."""
        horizon = max(column.label.horizon for column in self.columns)
        apart = self.walk.embargo_bars + self.walk.promotion.holdback_bars + horizon
        refit = min(self.walk.refit_every, _REFIT_BARS)
        train = min(apart + _TRAIN_ROWS, len(self.bars) - self.features.warmup - _REFITS * refit)
        if train < apart + _TRAIN_ROWS // 5:
            return None
        return dataclasses.replace(
            self.walk, train_bars=train, refit_every=refit, every_nth_row=1, min_train_rows=min(100, train)
        )


def check(workspace: Workspace) -> Said:
    """Run every law on the configured features, labels, models and strategy, on each symbol's newest bars.

    Features are tried on some thousand bars, each model in a small walk-forward, the strategy on the models' scores: a
    minute at most for each model and symbol. ``found`` when a law is broken.
    """
    benches = _benches(workspace)
    steps = [(number, step) for number, bench in enumerate(benches) for step in _steps(bench)]
    if is_pooled(workspace):
        steps.append((0, partial(_check_pool, benches)))
    if workspace.config.account.shared:
        steps.append((0, partial(_check_shared, benches)))
    findings: list[list[Finding]] = [[] for _ in benches]
    for done, (number, step) in enumerate(steps):
        workspace.report(done, len(steps), f"checking the laws on {benches[number].bars.symbol}")
        findings[number].extend(step())
    workspace.report(len(steps), len(steps), "checking the laws")
    return _said(benches, findings)


def _benches(workspace: Workspace) -> list[_Bench]:
    config = workspace.config
    load_plugins(config)
    markets = []
    for symbol in config.data.symbols:
        run_id = new_run_id(workspace.clock(), symbol, config.data.timeframe)
        markets.append(load_market(workspace, symbol, run_id=run_id, command="check"))
    together = choose_strategy(workspace, *(market.bars for market in markets)) if config.account.shared else None
    return [
        _Bench(
            workspace=workspace,
            market=market,
            features=parts.feature_set(config, market.bars.columns),
            chosen=together or choose_strategy(workspace, market.bars),
            columns=columns(config),
            walk=walk_forward(config),
        )
        for market in markets
    ]


def _steps(bench: _Bench) -> Iterator[Callable[[], Iterator[Finding]]]:
    for joined in bench.market.sources:
        yield partial(_check_source, bench, joined)
    for number, feature in enumerate(bench.features.features):
        family = bench.workspace.config.features[number].family
        yield partial(_check_feature, bench, feature, family)
    for label in parts.labels(bench.workspace.config):
        yield partial(_check_label, bench, label)
        yield partial(_check_splits, bench, label)
    yield partial(_check_models_and_strategy, bench)


def _check_source(bench: _Bench, joined: Joined) -> Iterator[Finding]:
    yield of(check_joined(bench.bars, joined))


def _check_feature(bench: _Bench, feature: Feature, family: str) -> Iterator[Finding]:
    """Check a family's columns together, and one by one where one of them breaks a law."""
    count = len(feature.names)
    subject = feature.names[0] if count == 1 else f"{family}: {count} columns"
    length = max(_BARS, min(3 * (feature.warmup + 1), _MOST_BARS), feature.warmup + _BARS // 4)
    bars = bench.bars.tail(length)

    def causal(one: Any, subject: str, **more: Any) -> LawResult:
        return check_causal(one, bars, subject=subject, **more)

    def warm(one: Any, subject: str, **more: Any) -> LawResult:
        return check_warmup(one, bars, warmup=feature.warmup, subject=subject, **more)

    for law, run in (("causal", causal), ("warmup", warm)):
        if len(bars) < feature.warmup + 2:
            yield Finding(law, subject, UNCHECKED, f"needs {feature.warmup + 2} bars, there are {len(bars)}")
            continue
        try:
            together = run(feature, subject, names=feature.names)
        except (ValueError, FeatureError) as error:  # a part of the user's own may not keep the protocol
            yield Finding(law, subject, BROKEN, f"it fails on some of the bars: {error}")
            continue
        if together or count == 1:
            yield of(together)
            continue
        alone = [run(_column(feature, place), name) for place, name in enumerate(feature.names)]
        broken = [result for result in alone if not result] or [together]
        yield from map(of, broken)
        if count > len(broken):
            yield Finding(law, f"{family}: {count - len(broken)} other columns", HOLDS, alone[0].evidence)


def _column(feature: Feature, place: int) -> Callable[[Bars], object]:
    return lambda bars: feature(bars)[:, place]


def _check_label(bench: _Bench, label: Label) -> Iterator[Finding]:
    yield of(check_labels(label, bench.bars.tail(max(_BARS, 3 * label.horizon))))


def _check_splits(bench: _Bench, label: Label) -> Iterator[Finding]:
    """Audit the purge of every refit that the walk-forward would make, and of both sides in cross-validation."""
    several = len(parts.labels(bench.workspace.config)) > 1
    subject = f"walk-forward of {label.name}" if several else "walk-forward"
    warming = np.zeros((len(bench.bars), 1), dtype=np.float32)
    warming[: bench.features.warmup] = np.nan
    table = TrainingTable.of(bench.bars, warming, ("any",), label)
    blocks, known_at = bench.walk.blocks(table), table.label.known_at
    if not blocks:
        needed = bench.features.warmup + bench.walk.train_bars
        few = f"{len(bench.bars)} bars are too few for one refit, which needs {needed}"
        yield Finding("no leak", subject, UNCHECKED, few)
        return
    splits = ((block.training_rows(known_at), np.arange(block.test_start, block.test_stop)) for block in blocks)
    yield of(check_purged(splits, known_at, embargo_bars=bench.walk.embargo_bars, subject=subject))
    evaluation = bench.workspace.config.evaluation
    for name, split in (("k-fold", "kfold"), ("combinatorial cross-validation", "cpcv")):
        if split == "cpcv" and evaluation.test_folds >= evaluation.folds:
            continue  # `itb evaluate` refuses it
        cut = cut_of(bench.workspace.config, split, table.first_complete)
        pairs = ((one.train, one.test) for one in cut.splits(known_at))
        embargo = {
            "embargo_bars": evaluation.embargo_bars,
            "embargo_before_bars": evaluation.embargo_before_bars,
        }
        yield of(check_apart(pairs, known_at, subject=subject.replace("walk-forward", name), **embargo))


def _check_models_and_strategy(bench: _Bench) -> Iterator[Finding]:
    name = bench.chosen.strategy.__name__
    if not bench.chosen.reads_scores:
        for column in bench.columns:
            yield Finding("no leak", column.name, UNCHECKED, f"{name} reads no score, so no model is trained")
        yield from _check_strategy(bench, bench.bars.tail(_STRATEGY_BARS), {})
        return
    small = bench.small
    if small is None:
        few = f"{len(bench.bars)} bars are too few for a small walk-forward"
        for column in bench.columns:
            yield Finding("no leak", column.name, UNCHECKED, few)
        bars = bench.bars.tail(_STRATEGY_BARS)
        yield from _check_strategy(bench, bars, {})
        return
    bars = bench.bars.tail(bench.features.warmup + small.train_bars + _REFITS * small.refit_every)
    matrix = bench.features.compute(bars)
    scores: dict[str, FloatArray] = {}
    for column in bench.columns:
        yield from _check_model(bench, small, column, bars, matrix, scores)
    yield from check_stack(bench.workspace.config, scores, bars)
    yield from check_signals(bench.workspace.config, score_ranges(bench.workspace.config))
    yield from _check_strategy(bench, bars, scores)


def _check_model(
    bench: _Bench,
    small: WalkForward,
    column: LearnedColumn,
    bars: Bars,
    matrix: FloatMatrix,
    scores: dict[str, FloatArray],
) -> Iterator[Finding]:
    if is_deep(column):
        yield from check_network(bench.workspace, bench.market, column, bars, small, scores)
        return
    features = bench.features
    own = check_no_leak(
        bars,
        features.compute,
        features.names,
        column.label,
        column.algorithm,
        small,
        refits=_REFITS,
        seed=column.seed,
        subject=column.name,
    )
    yield from map(of, own[1:])
    table = TrainingTable.of(bars, matrix, features.names, column.label)
    walked: list[WalkForwardResult] = []

    def train() -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            walked.append(small.run(table, column.algorithm, Path(folder), seed=column.seed, column=column.name))
        return {"scores": walked[-1].scores}

    yield of(check_reproducible(train, subject=column.name))
    scores[column.name] = walked[0].scores
    yield from check_stages(bench.workspace.config, walked[0], bars)


def _check_pool(benches: Sequence[_Bench]) -> Iterator[Finding]:
    """Check what the coins learn together, on the newest bars of all of them."""
    one = benches[0]
    if not one.chosen.reads_scores or one.small is None:
        return
    count = one.features.warmup + one.small.train_bars + _REFITS * one.small.refit_every
    since = max(int(bench.bars.open_time[-1]) for bench in benches) - count * one.bars.timeframe.ms
    coins = [bench.bars.slice(int(np.searchsorted(bench.bars.open_time, since)), None) for bench in benches]
    by_rows = [column for column in one.columns if not is_deep(column)]
    yield from check_pool(one.workspace.config, coins, by_rows, one.small)


def _check_strategy(bench: _Bench, bars: Bars, scores: Mapping[str, FloatArray]) -> Iterator[Finding]:
    """Check the strategy on the models' scores; columns that only a stage makes are empty."""
    config = bench.workspace.config
    venue = build_venue(config, dataclasses.replace(bench.market, bars=bars))
    test = Backtest(bench.chosen.strategy, bench.chosen.parameters, config.backtest.cash, venue, config.backtest.engine)
    sources = {}
    if bench.chosen.reads_scores:
        empty = np.full(len(bars), np.nan)
        for name, (low, high) in score_ranges(config).items():
            sources[name] = ArrayScores(name, bars.open_time, scores.get(name, empty), low, high)
    if config.account.shared:
        bench.traded.append(TradedMarket(bars, sources, venue))  # checked with the other symbols, once all are there
        return
    yield from check_strategy(test, bars, sources, bench.chosen.columns)


def _check_shared(benches: Sequence[_Bench]) -> Iterator[Finding]:
    """Check the strategy on all symbols, whose account it shares out."""
    config, chosen = benches[0].workspace.config, benches[0].chosen
    traded = [one for bench in benches for one in bench.traded]
    venue = Venue(config.costs)
    test = Backtest(chosen.strategy, chosen.parameters, config.backtest.cash, venue, config.backtest.engine)
    yield from check_shared_strategy(test, traded, chosen.columns)


def _said(benches: Sequence[_Bench], findings: Sequence[Sequence[Finding]]) -> Said:
    several = len(benches) > 1
    rows: list[tuple[str, ...]] = []
    lines = []
    for bench, found in zip(benches, findings, strict=True):
        head = (bench.bars.symbol,) if several else ()
        rows += [(*head, one.law, one.subject, one.verdict, one.evidence) for one in found]
        lines.append(_line(bench, found))
    broken = any(finding.verdict == BROKEN for found in findings for finding in found)
    return Said(
        data={
            "symbols": [bench.bars.symbol for bench in benches],
            "timeframe": str(benches[0].bars.timeframe),
            "is_synthetic": benches[0].market.is_synthetic,
            "holds": not broken,
            "checks": [
                {"symbol": bench.bars.symbol, **dataclasses.asdict(finding)}
                for bench, found in zip(benches, findings, strict=True)
                for finding in found
            ],
        },
        table=Table((*(("symbol",) if several else ()), "law", "subject", "verdict", "evidence"), tuple(rows)),
        lines=tuple(lines),
        found=broken,
    )


def _line(bench: _Bench, findings: Sequence[Finding]) -> str:
    counts = Counter(finding.verdict for finding in findings)
    kind = "synthetic" if bench.market.is_synthetic else "real bars"
    on = f"on {bench.bars.label} ({kind})"
    names = ", ".join(column.name for column in bench.columns)
    parts_of_it = "label and model" if len(bench.columns) == 1 else "labels and models"
    what = f"{len(bench.features.names)} feature columns, {parts_of_it} {names}, {bench.chosen.strategy.__name__}"
    left = f"; {counts[UNCHECKED]} not checked, see above" if counts[UNCHECKED] else ""
    if counts[BROKEN]:
        broken = ", ".join(dict.fromkeys(f"{f.law} ({f.subject})" for f in findings if f.verdict == BROKEN))
        return f"BROKEN {on}: {broken}. {counts[HOLDS]} other checks hold{left}."
    return f"{counts[HOLDS]} checks hold {on}: {what}{left}."
