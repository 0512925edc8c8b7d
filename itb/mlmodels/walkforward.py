"""Walk-forward training: refit again and again on what was known, and score what came next."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from itb.errors import ModelError
from itb.market.bars import FloatArray, IntArray
from itb.mlmodels.algorithm import Algorithm, FloatMatrix, score_rows, settings_of
from itb.mlmodels.algorithms import check_can_learn, column_name
from itb.mlmodels.by_class import for_label
from itb.mlmodels.files import sweep_drafts, write_whole
from itb.mlmodels.fold import FoldData, FoldJob, FoldResult, fit_fold, stored_fold
from itb.mlmodels.grown import PLAN, take_over
from itb.mlmodels.labels.column import shortest_reach, typical_reach
from itb.mlmodels.promotion import Evidence, PromotionRule, Sane, Verdict
from itb.mlmodels.registry import check_model, library_versions, load_model
from itb.mlmodels.result import Fold, WalkForwardResult
from itb.mlmodels.splits import Block, Mode, walk_forward_blocks
from itb.mlmodels.table import TrainingTable
from itb.mlmodels.timeline import ModelTimeline, TimelineEntry
from itb.mlmodels.training import Training
from itb.mlmodels.workers import available_cores, fit_in_processes, shared

Progress = Callable[[int, int, str], None]

_WORTH_A_PROCESS_S = 4.0


@dataclass(frozen=True)
class WalkForward:
    """Refit every ``refit_every`` bars on bars whose label was known, and score the bars that follow.

    The first refit happens as soon as ``train_bars`` bars are complete, counted from the first that has all features;
    ``"sliding"`` then learns from the last ``train_bars`` bars, ``"expanding"`` from all so far. Labels that became
    known within ``embargo_bars`` of the fit are left out. A model fitted at the close of bar t scores bars from
    t + ``refit_delay_bars`` on. With fewer than ``min_train_rows`` usable rows, or one class only, nothing is fitted
    and the earlier model goes on speaking, as it does when ``promotion`` refuses the new one. ``every_nth_row`` thins
    training rows (by open time, so that the same bars are kept whenever training starts). ``training`` says how a model
    is taught from what is left.
    """

    mode: Mode = "sliding"
    train_bars: int = 4320
    refit_every: int = 720
    embargo_bars: int = 0
    refit_delay_bars: int = 1
    min_train_rows: int = 500
    every_nth_row: int = 1
    promotion: PromotionRule = field(default_factory=Sane)
    training: Training = field(default_factory=Training)

    def __post_init__(self) -> None:
        if self.mode not in {"sliding", "expanding"}:
            raise ValueError(f'mode must be "sliding" or "expanding", was {self.mode!r}')
        lowest = {"train_bars": 2, "refit_every": 1, "embargo_bars": 0, "refit_delay_bars": 1, "min_train_rows": 2}
        for name, least in {**lowest, "every_nth_row": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, was {getattr(self, name)}")
        if self.embargo_bars + self.promotion.holdback_bars >= self.train_bars:
            raise ValueError(
                f"train_bars must exceed embargo_bars + held-back bars ({self.embargo_bars} + "
                f"{self.promotion.holdback_bars}), was {self.train_bars}"
            )

    def blocks(self, table: TrainingTable, ahead: int = 0) -> tuple[Block, ...]:
        """Cut the bars of a table, and ``ahead`` more to come, into refits from the first bar that has all features."""
        return walk_forward_blocks(
            len(table) + ahead,
            mode=self.mode,
            train_bars=self.train_bars,
            refit_every=self.refit_every,
            embargo_bars=self.embargo_bars,
            refit_delay_bars=self.refit_delay_bars,
            holdback_bars=self.promotion.holdback_bars,
            first_bar=table.first_complete,
        )

    def run(
        self,
        table: TrainingTable,
        algorithm: Algorithm,
        folder: Path,
        *,
        workers: int = 1,
        seed: int = 0,
        progress: Progress | None = None,
        column: str = "",
    ) -> WalkForwardResult:
        """Train, score and keep everything in ``folder/<column>-<fingerprint>``; resume what an earlier run left there.

        Where the table only grew since an earlier run in ``folder``, its refits are taken over.

        ``workers`` processes share the refits; 0 decides by how long a refit takes. The result does not depend on it.
        ``progress`` is called with (done, total, what). ``column`` names the scores; empty takes label and algorithm.
        Raises :class:`ModelError` when there is nothing to learn from.
        """
        check_can_learn(algorithm, table.label_name, is_binary=table.is_binary, has_classes=table.has_classes)
        algorithm = for_label(algorithm, has_classes=table.has_classes)
        table.refuse_unusable()
        blocks = self.blocks(table)
        if not blocks:
            raise ModelError(
                f"{len(table)} bars are too few: features warm up for {table.first_complete}, the first refit needs "
                f"{self.train_bars} more, and its first score comes {self.refit_delay_bars} later. Load more bars, or "
                f"shorten the training window."
            )
        reach, held = shortest_reach(table.label.known_at), self.promotion.holdback_bars
        if 0 < held <= reach:
            raise ValueError(
                f"the promotion rule holds back {held} bars, but a label of {table.label_name!r} is known only {reach} "
                f"bars later: none could be graded; hold back more"
            )
        fingerprint = self._fingerprint(table, algorithm, seed)
        column = column or column_name(table.label_name, algorithm)
        home = folder / f"{column}-{fingerprint[:12]}"
        job = self.job(table, algorithm, home, blocks, seed, column)
        plan = self._describe(home, table, algorithm, seed, fingerprint)
        take_over(job, table, plan, self.blocks)
        fitted = _fit_missing(job, table, workers, progress)
        return self._assemble(job, table, fingerprint, fitted)

    def job(
        self, table: TrainingTable, algorithm: Algorithm, home: Path, blocks: tuple[Block, ...], seed: int, column: str
    ) -> FoldJob:
        """Say what the refits of ``blocks`` share."""
        return FoldJob(
            algorithm=algorithm,
            column=column,
            label_name=table.label_name,
            feature_names=table.feature_names,
            blocks=blocks,
            holdback_bars=self.promotion.holdback_bars,
            min_train_rows=self.min_train_rows,
            every_nth_row=self.every_nth_row,
            timeframe_ms=table.timeframe.ms,
            seed=seed,
            folder=home,
            training=self.training,
            coins=table.coins,
        )

    def _fingerprint(self, table: TrainingTable, algorithm: Algorithm, seed: int) -> str:
        text = json.dumps([table.fingerprint, self._settings(algorithm, seed)], sort_keys=True, default=repr)
        return hashlib.sha256(text.encode()).hexdigest()

    def _settings(self, algorithm: Algorithm, seed: int) -> dict[str, Any]:
        return {
            "walk_forward": settings_of(self),
            "algorithm": settings_of(algorithm),
            "seed": seed,
            "versions": {"itb": version("itb"), **library_versions()},
        }

    def _describe(
        self, home: Path, table: TrainingTable, algorithm: Algorithm, seed: int, fingerprint: str
    ) -> dict[str, Any]:
        made_of = {"fingerprint": fingerprint, "table": table.fingerprint, "rows": len(table)}
        told = made_of | self._settings(algorithm, seed)
        home.mkdir(parents=True, exist_ok=True)
        sweep_drafts(home)
        write_whole(home / PLAN, json.dumps(told, indent=1, sort_keys=True, default=repr).encode())
        return told

    def _assemble(self, job: FoldJob, table: TrainingTable, fingerprint: str, fitted: int) -> WalkForwardResult:
        low, high = job.algorithm.score_range
        timeline = ModelTimeline(job.column, low, high, table.feature_names)
        scores = np.full(len(table), np.nan)
        folds = []
        speaking = ""
        for block in job.blocks:
            result = stored_fold(job, block.number)
            if result is None:
                raise ModelError(f"{job.path(block.number)}: vanished or damaged while running. Run again to resume.")
            verdict = self.judge(job, table, block, result, speaking)
            if verdict.promoted:
                speaking = result.manifest
                scores[block.test_start : block.test_stop] = result.test
            elif speaking:
                rows = np.arange(block.test_start, block.test_stop)
                scores[rows] = scores_of(job, speaking, table.features[block.test_start : block.test_stop], rows)
            entry = entry_of(table, block, result, verdict)
            timeline = timeline.appended(entry)
            folds.append(_fold(block, entry, result))
        kept = job.folder / "timeline.json"
        if not (kept.exists() and ModelTimeline.load(kept).begins_with(timeline)):  # live retraining may have gone on
            timeline.save(kept)
        return WalkForwardResult(
            column=job.column,
            low=low,
            high=high,
            is_classifier=job.algorithm.is_classifier,
            scores=scores,
            table=table,
            timeline=timeline,
            folds=tuple(folds),
            folder=job.folder,
            fingerprint=fingerprint,
            fitted=fitted,
            algorithm=job.algorithm,
        )

    def judge(self, job: FoldJob, table: TrainingTable, block: Block, result: FoldResult, speaking: str) -> Verdict:
        """Say whether a refit may speak after ``speaking``, the manifest of the one before (empty: there is none)."""
        if not result.manifest:
            return Verdict(promoted=False, reason=result.note)
        rows = block.holdback_rows(table.label.known_at, self.promotion.holdback_bars)
        return self.promotion.decide(
            Evidence(
                feature_names=check_model(job.models / result.manifest)[0].feature_names,
                expected_names=table.feature_names,
                is_classifier=job.algorithm.is_classifier,
                recent=result.recent,
                labels=table.label.values[rows],
                candidate=result.held,
                incumbent=scores_of(job, speaking, table.features[rows], rows) if speaking and len(rows) else None,
                horizon=typical_reach(table.label.known_at),
                seed=job.seed,
            )
        )


def scores_of(job: FoldJob, file: str, features: FloatMatrix, rows: IntArray) -> FloatArray:
    """Score rows of the table by an earlier model."""
    stored = load_model(job.models / file, job.algorithm)
    return score_rows(stored.model, job.read(features, rows, stored.scales))


def _fit_missing(job: FoldJob, table: TrainingTable, workers: int, progress: Progress | None) -> int:
    total = len(job.blocks)
    missing = [block.number for block in job.blocks if stored_fold(job, block.number) is None]
    done = total - len(missing)
    if progress:
        progress(done, total, f"training {job.column}")
    data = FoldData.of(table)
    for _ in _fit(job, data, missing, workers):
        done += 1
        if progress:
            progress(done, total, f"training {job.column}")
    return len(missing)


def _fit(job: FoldJob, data: FoldData, missing: list[int], workers: int) -> Iterator[int]:
    waiting = list(missing)
    cores = workers or available_cores()
    if workers == 0 and cores > 1:
        for _ in range(2):  # the first refit pays for imports, so the second one tells how long a refit takes
            start = time.perf_counter()
            if waiting:
                fit_fold(job, data, waiting[0])
                yield waiting.pop(0)
        if (time.perf_counter() - start) * len(waiting) < _WORTH_A_PROCESS_S:
            cores = 1
    if cores > 1 and len(waiting) > 1:
        with shared(data, job.folder) as place:
            yield from fit_in_processes(job, place, waiting, cores)
        return
    for number in waiting:
        fit_fold(job, data, number)
        yield number


def entry_of(table: TrainingTable, block: Block, result: FoldResult, verdict: Verdict) -> TimelineEntry:
    """Describe a refit; the bar that it speaks from may be one that is still to come."""
    last = len(table) - 1
    ahead = math.ceil(max(0, block.test_start - last) / max(1, len(table.coins)))
    return TimelineEntry(
        trained_until=int(table.open_time[result.last_row]),
        known_at=int(table.open_time[block.fit_bar]),
        speaks_from=int(table.open_time[min(block.test_start, last)]) + ahead * table.timeframe.ms,
        file=f"models/{result.manifest}" if result.manifest else "",
        promoted=verdict.promoted,
        reason=verdict.reason,
        rows=result.rows,
    )


def _fold(block: Block, entry: TimelineEntry, result: FoldResult) -> Fold:
    return Fold(
        block=block,
        entry=entry,
        rows=result.rows,
        first_row=result.first_row,
        last_row=result.last_row,
        last_known=result.last_known,
        importance=result.importance,
        note=result.note,
        learned=result.learned,
    )
