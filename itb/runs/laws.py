"""`itb check`: the laws, run on everything the config names."""

from __future__ import annotations

import dataclasses
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.backtest.run import Backtest
from itb.charts.data import Table
from itb.config import parts
from itb.indicators.score import ArrayScores
from itb.laws.causal import check_causal
from itb.laws.leak import check_labels, check_no_leak, check_purged
from itb.laws.reproducible import check_reproducible
from itb.laws.result import LawResult
from itb.laws.warmup import check_warmup
from itb.mlmodels.table import TrainingTable
from itb.runs.backtest import choose_strategy
from itb.runs.capsule import new_run_id
from itb.runs.law_checks import BROKEN, HOLDS, UNCHECKED, Finding, check_strategy, of
from itb.runs.market import load_market
from itb.runs.model import score_column, walk_forward
from itb.runs.plugins import load_plugins
from itb.runs.said import Said
from itb.runs.venue import build_venue

if TYPE_CHECKING:
    from itb.indicators.feature import Feature
    from itb.indicators.feature_set import FeatureSet
    from itb.market.bars import Bars
    from itb.mlmodels.walkforward import WalkForward
    from itb.runs.backtest import ChosenStrategy
    from itb.runs.market import Market
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
    column: str
    walk: WalkForward

    @property
    def bars(self) -> Bars:
        return self.market.bars

    @property
    def small(self) -> WalkForward | None:
        """The configured walk-forward in small, so that it takes seconds; ``None`` where bars are too few for it."""
        label = parts.label(self.workspace.config)
        apart = self.walk.embargo_bars + self.walk.promotion.holdback_bars + label.horizon
        refit = min(self.walk.refit_every, _REFIT_BARS)
        train = min(apart + _TRAIN_ROWS, len(self.bars) - self.features.warmup - _REFITS * refit)
        if train < apart + _TRAIN_ROWS // 5:
            return None
        return dataclasses.replace(
            self.walk, train_bars=train, refit_every=refit, every_nth_row=1, min_train_rows=min(100, train)
        )


def check(workspace: Workspace) -> Said:
    """Run every law on the configured features, label, model and strategy, on the first symbol's newest bars.

    Features are tried on some thousand bars, the model in a small walk-forward, the strategy on its scores: a minute
    at most. ``found`` when a law is broken.
    """
    config = workspace.config
    load_plugins(config)
    symbol = config.data.symbols[0]
    run_id = new_run_id(workspace.clock(), symbol, config.data.timeframe)
    market = load_market(workspace, symbol, run_id=run_id, command="check")
    features = parts.feature_set(config, market.bars.columns)
    bench = _Bench(
        workspace=workspace,
        market=market,
        features=features,
        chosen=choose_strategy(workspace, market.bars),
        column=score_column(config),
        walk=walk_forward(config),
    )
    findings: list[Finding] = []
    steps = list(_steps(bench))
    for done, step in enumerate(steps):
        workspace.report(done, len(steps), "checking the laws")
        findings.extend(step())
    workspace.report(len(steps), len(steps), "checking the laws")
    return _said(bench, findings)


def _steps(bench: _Bench) -> Iterator[Callable[[], Iterator[Finding]]]:
    for number, feature in enumerate(bench.features.features):
        family = bench.workspace.config.features[number].family
        yield lambda feature=feature, family=family: _check_feature(bench, feature, family)  # type: ignore[misc]  # mypy cannot type defaults of a lambda
    yield lambda: _check_label(bench)
    yield lambda: _check_splits(bench)
    yield lambda: _check_model_and_strategy(bench)


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
        except ValueError as error:  # a part of the user's own may not keep the protocol
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


def _check_label(bench: _Bench) -> Iterator[Finding]:
    label = parts.label(bench.workspace.config)
    yield of(check_labels(label, bench.bars.tail(max(_BARS, 3 * label.horizon))))


def _check_splits(bench: _Bench) -> Iterator[Finding]:
    """Audit the purge of every refit that the configured walk-forward would make."""
    warming = np.zeros((len(bench.bars), 1), dtype=np.float32)
    warming[: bench.features.warmup] = np.nan
    table = TrainingTable.of(bench.bars, warming, ("any",), parts.label(bench.workspace.config))
    blocks, known_at = bench.walk.blocks(table), table.label.known_at
    if not blocks:
        needed = bench.features.warmup + bench.walk.train_bars
        few = f"{len(bench.bars)} bars are too few for one refit, which needs {needed}"
        yield Finding("no leak", "walk-forward", UNCHECKED, few)
        return
    splits = ((block.training_rows(known_at), np.arange(block.test_start, block.test_stop)) for block in blocks)
    yield of(check_purged(splits, known_at, embargo_bars=bench.walk.embargo_bars, subject="walk-forward"))


def _check_model_and_strategy(bench: _Bench) -> Iterator[Finding]:
    name = bench.chosen.strategy.__name__
    if not bench.chosen.reads_scores:
        yield Finding("no leak", bench.column, UNCHECKED, f"{name} reads no score, so no model is trained")
        yield from _check_strategy(bench, bench.bars.tail(_STRATEGY_BARS), None)
        return
    small = bench.small
    if small is None:
        yield Finding(
            "no leak", bench.column, UNCHECKED, f"{len(bench.bars)} bars are too few for a small walk-forward"
        )
        yield from _check_strategy(bench, bench.bars.tail(_STRATEGY_BARS), np.full(len(bench.bars), np.nan))
        return
    config = bench.workspace.config
    label, algorithm, features = parts.label(config), parts.algorithm(config), bench.features
    bars = bench.bars.tail(features.warmup + small.train_bars + _REFITS * small.refit_every)
    own = check_no_leak(
        bars, features.compute, features.names, label, algorithm, small, refits=_REFITS, seed=config.model.seed
    )
    yield from map(of, own[1:])
    table = TrainingTable.of(bars, features.compute(bars), features.names, label)
    kept: list[np.ndarray[tuple[int], np.dtype[np.float64]]] = []

    def train() -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            kept.append(small.run(table, algorithm, Path(folder), seed=config.model.seed).scores)
        return {"scores": kept[-1]}

    yield of(check_reproducible(train, subject=bench.column))
    yield from _check_strategy(bench, bars, kept[0])


def _check_strategy(bench: _Bench, bars: Bars, scores: Any) -> Iterator[Finding]:
    config = bench.workspace.config
    venue = build_venue(config, dataclasses.replace(bench.market, bars=bars))
    test = Backtest(bench.chosen.strategy, bench.chosen.settings, config.backtest.cash, venue, config.backtest.engine)
    if scores is None:
        yield from check_strategy(test, bars, None)
        return
    low, high = parts.algorithm(config).score_range
    source = ArrayScores(bench.column, bars.open_time, scores[-len(bars) :], low, high)
    yield from check_strategy(test, bars, source)


def _said(bench: _Bench, findings: list[Finding]) -> Said:
    counts = Counter(finding.verdict for finding in findings)
    kind = "synthetic" if bench.market.is_synthetic else "real bars"
    on = f"on {bench.bars.label} ({kind})"
    what = (
        f"{len(bench.features.names)} feature columns, label and model {bench.column}, {bench.chosen.strategy.__name__}"
    )
    left = f"; {counts[UNCHECKED]} not checked, see above" if counts[UNCHECKED] else ""
    if counts[BROKEN]:
        broken = ", ".join(dict.fromkeys(f"{f.law} ({f.subject})" for f in findings if f.verdict == BROKEN))
        line = f"BROKEN {on}: {broken}. {counts[HOLDS]} other checks hold{left}."
    else:
        line = f"{counts[HOLDS]} checks hold {on}: {what}{left}."
    return Said(
        data={
            "symbol": bench.bars.symbol,
            "timeframe": str(bench.bars.timeframe),
            "is_synthetic": bench.market.is_synthetic,
            "holds": not counts[BROKEN],
            "checks": [dataclasses.asdict(finding) for finding in findings],
        },
        table=Table(
            ("law", "subject", "verdict", "evidence"),
            tuple((finding.law, finding.subject, finding.verdict, finding.evidence) for finding in findings),
        ),
        lines=(line,),
        found=bool(counts[BROKEN]),
    )
