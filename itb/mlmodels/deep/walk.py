"""Walk-forward over a panel: refit again and again on what was known, and score all coins of what came next."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from itb.errors import ModelError
from itb.mlmodels.algorithm import settings_of
from itb.mlmodels.deep.calibrate import calibrated
from itb.mlmodels.deep.curves import write_curve
from itb.mlmodels.deep.door import torch_for
from itb.mlmodels.deep.fit import teach
from itb.mlmodels.deep.judging import Epoch
from itb.mlmodels.deep.lesson import PanelLesson
from itb.mlmodels.deep.model import PanelModel, load_panel_model
from itb.mlmodels.deep.models import DEEP
from itb.mlmodels.deep.result import PanelFold, PanelResult
from itb.mlmodels.deep.tensors import dump_tensors, load_tensors
from itb.mlmodels.files import sweep_drafts, write_whole
from itb.mlmodels.labels.column import NEVER
from itb.mlmodels.promotion import Evidence, Verdict
from itb.mlmodels.registry import Manifest, check_model, library_versions, save_content
from itb.mlmodels.splits import Block, walk_forward_blocks
from itb.mlmodels.timeline import ModelTimeline, TimelineEntry

if TYPE_CHECKING:
    from pathlib import Path

    from itb.mlmodels.deep.algorithm import DeepAlgorithm
    from itb.mlmodels.deep.panel import Panel, Targets
    from itb.mlmodels.walkforward import WalkForward

Table = npt.NDArray[np.float64]
Progress = Callable[[int, int, str], None]

_RECENT = 64


@dataclass(frozen=True, eq=False)
class Refit:
    """A refit that was judged: its model's manifest (empty: none could be fitted) and the scores of its block."""

    fold: PanelFold
    manifest: str
    test: Table
    is_new: bool


@dataclass(frozen=True, eq=False)
class PanelWalk:
    """The walk-forward of one network over one panel; ``label`` names what ``targets`` hold, ``column`` the scores.

    Blocks are those of ``walk``, counted in times of the raster. Everything is kept in
    ``folder/<column>-<fingerprint>``, refit by refit and within a refit epoch by epoch, and taken up again there.
    """

    walk: WalkForward
    panel: Panel
    targets: Targets
    algorithm: DeepAlgorithm
    label: str
    column: str
    seed: int = 0

    def run(self, folder: Path, progress: Progress | None = None) -> PanelResult:
        """Train, score and keep; raise :class:`itb.errors.ModelError` when there is nothing to learn from."""
        torch_for(self.algorithm.name)
        blocks = self.blocks()
        home = folder / f"{self.column}-{self.fingerprint[:12]}"
        home.mkdir(parents=True, exist_ok=True)
        sweep_drafts(home)
        write_whole(home / "plan.json", json.dumps(self._settings(), indent=1, sort_keys=True, default=repr).encode())
        panel = self.panel
        timeline = ModelTimeline(self.column, *self.algorithm.score_range, panel.channels)
        scores = np.full(panel.there.shape, np.nan)
        folds, speaking, latest, fitted = [], "", "", 0
        for block in blocks:
            refit = self.refit(home, block, latest, speaking, total=len(blocks), progress=progress)
            fitted += refit.is_new
            if refit.fold.entry.promoted:
                speaking = refit.manifest
                scores[block.test_start : block.test_stop] = refit.test
            elif speaking:
                scores[block.test_start : block.test_stop] = self.model(home, speaking).scores(panel, self.test(block))
            latest = refit.manifest or latest
            timeline = timeline.appended(refit.fold.entry)
            folds.append(refit.fold)
        path = home / "timeline.json"
        if not (path.exists() and ModelTimeline.load(path).begins_with(timeline)):  # live retraining may have gone on
            timeline.save(path)
        return PanelResult(
            self.column,
            panel,
            self.targets,
            scores,
            timeline,
            tuple(folds),
            home,
            self.fingerprint,
            fitted,
            self.algorithm,
        )

    @property
    def fingerprint(self) -> str:
        """sha256 of the panel, the labels and all settings."""
        digest = hashlib.sha256(json.dumps(self._settings(), sort_keys=True, default=repr).encode())
        digest.update(self.targets.values.tobytes())
        digest.update(self.targets.known_at.tobytes())
        return digest.hexdigest()

    def _settings(self) -> dict[str, Any]:
        return {
            "panel": self.panel.fingerprint,
            "walk_forward": settings_of(self.walk),
            "algorithm": settings_of(self.algorithm),
            "seed": self.seed,
            "versions": {"itb": version("itb"), "torch": version("torch"), **library_versions()},
        }

    def blocks(self, ahead: int = 0) -> tuple[Block, ...]:
        """Cut the times of the raster, and ``ahead`` more to come, into refits."""
        walk = self.walk
        blocks = walk_forward_blocks(
            len(self.panel) + ahead,
            mode=walk.mode,
            train_bars=walk.train_bars,
            refit_every=walk.refit_every,
            embargo_bars=walk.embargo_bars,
            refit_delay_bars=walk.refit_delay_bars,
            holdback_bars=walk.promotion.holdback_bars,
            first_bar=self.algorithm.warmup,
        )
        if not blocks:
            raise ModelError(
                f"{len(self.panel)} bars are too few: a window has {self.algorithm.steps}, the first refit needs "
                f"{walk.train_bars} more. Load more bars, or shorten walkforward.train or the model's steps."
            )
        return blocks

    # -- one refit

    def refit(
        self,
        home: Path,
        block: Block,
        latest: str,
        speaking: str,
        *,
        total: int = 1,
        progress: Progress | None = None,
    ) -> Refit:
        """Fit what an earlier run has not fitted, and judge it against the model that is ``speaking``.

        ``latest`` is the newest model, which fine-tuning goes on from; both are names of manifests, empty for none.
        """
        kept = self._stored(home, block)
        is_new = kept is None
        if kept is None:
            self._fit(home, block, latest, total, progress)
            kept = self._stored(home, block)
        if kept is None:
            raise ModelError(f"{home}: refit {block.number} vanished while running. Run again to resume.")
        told, test = kept
        entry = self._entry(block, told, self._judge(home, block, told, speaking))
        return Refit(_fold(block, entry, told), told["manifest"], test, is_new)

    def fold(self, home: Path, block: Block, entry: TimelineEntry, speaking: str) -> tuple[PanelFold, Table]:
        """Give what is kept of a refit that was judged, and of its block the scores by the model that is ``speaking``.

        They are as many as bars reached when they were kept; none where they were not.
        """
        told, test = self._read(home, block)
        if not entry.promoted:
            test = told["arrays"]["spoken"] if told.get("speaker") == speaking else test[:0]
        return _fold(block, entry, told), np.asarray(test, dtype=np.float64)

    def keep_scores(self, home: Path, block: Block, speaking: str, scores: Table) -> None:
        """Keep the scores of a refit's block, by its own model or the one that goes on ``speaking``."""
        told, _ = self._read(home, block)
        arrays = told.pop("arrays")
        if told["manifest"] == speaking:
            arrays["test"] = scores
        else:
            arrays["spoken"], told["speaker"] = scores, speaking
        write_whole(self._path(home, block), dump_tensors(arrays, {"refit": json.dumps(told)}))

    def _fit(self, home: Path, block: Block, latest: str, total: int, progress: Progress | None) -> None:
        lesson = self.lesson(block)
        told: dict[str, Any] = {
            "number": block.number,
            "manifest": "",
            "note": "",
            "rows": (lesson.rows.start, lesson.rows.stop, lesson.rows.step),
            "until": min(block.known_until, lesson.tail[0] - 1 if len(lesson.tail) else block.known_until),
            "importance": [0.0] * len(self.panel.channels),
            "curve": [],
        }
        arrays = {"test": np.full((len(self.test(block)), len(self.panel.symbols)), np.nan)}
        if not self.is_enough(lesson):
            told["note"] = f"only {len(lesson.rows)} rows with a known label, {self.walk.min_train_rows} are needed"
        else:
            part = self.algorithm

            def heard(done: int, epochs: int) -> None:
                if progress is not None:
                    progress(block.number * epochs + done, total * epochs, f"training {self.column}")

            draft = home / "folds" / f"{block.number:05d}.training"
            start = self.model(home, latest) if latest and part.fine_tune_epochs else None
            taught = teach(part, lesson, self.seed, start=start, draft=draft, told=heard)
            model, note = calibrated(taught.model, lesson)
            manifest = self.manifest(block, lesson, note)
            told |= {
                "manifest": save_content(model.to_bytes(), part.suffix, manifest, home / "models"),
                "note": note,
                "importance": model.importance(self.panel, lesson.tail),
                "curve": [asdict(epoch) for epoch in taught.curve],
            }
            recent = range(max(block.fit_bar - _RECENT + 1, part.warmup), block.fit_bar + 1)
            arrays = {
                "test": model.scores(self.panel, self.test(block)),
                "recent": model.scores(self.panel, recent),
                "held": model.scores(self.panel, self._held(block)),
            }
            write_curve(home / "curves" / f"{block.number:05d}", taught.curve, events=part.events)
        write_whole(self._path(home, block), dump_tensors(arrays, {"refit": json.dumps(told)}))
        (home / "folds" / f"{block.number:05d}.training").unlink(missing_ok=True)

    def is_enough(self, lesson: PanelLesson) -> bool:
        """Whether a network can be taught by a lesson."""
        return len(lesson.rows) >= max(self.walk.min_train_rows, 2) and len(lesson.tail) > 0

    def lesson(self, block: Block) -> PanelLesson:
        """Give what one refit learns from."""
        walk, every = self.walk, self.walk.every_nth_row
        bars = self.panel.open_time // self.panel.timeframe.ms
        first = max(block.train_start, self.algorithm.warmup)
        first += int(-bars[first] % every)  # counted from the epoch, so that a refit elsewhere keeps the same bars
        rows = range(first, block.known_until + 1, every)
        newest = walk.training.train_rows_max
        rows = rows[-newest:] if newest else rows
        return PanelLesson.of(self.panel, self.targets, rows, block.known_until, self.algorithm.tail_fraction)

    def manifest(self, block: Block, lesson: PanelLesson, note: str) -> Manifest:
        """Say what a model was made of."""
        times = self.panel.open_time
        return Manifest(
            column=self.column,
            label=self.label,
            algorithm=self.algorithm.name,
            settings=settings_of(self.algorithm),
            feature_names=self.panel.channels,
            rows=len(lesson.rows),
            seed=self.seed,
            trained_from=int(times[lesson.rows[0]]),
            trained_until=int(times[lesson.tail[-1]]),
            known_at=int(times[block.fit_bar]),
            note=note,
        )

    def _held(self, block: Block) -> range:
        held = self.walk.promotion.holdback_bars
        return range(max(block.fit_bar - held + 1, 0), block.fit_bar + 1) if held else range(0)

    # -- what is kept

    def _path(self, home: Path, block: Block) -> Path:
        return home / "folds" / f"{block.number:05d}.safetensors"

    def _stored(self, home: Path, block: Block) -> tuple[dict[str, Any], Table] | None:
        """Give the kept result of a refit, or ``None`` if there is none that can be trusted."""
        try:
            told, test = self._read(home, block)
            if told["number"] != block.number or len(test) != len(self.test(block)):
                return None
            if told["manifest"]:
                check_model(home / "models" / told["manifest"])
        except (OSError, ModelError, KeyError, ValueError):
            return None
        return told, test

    def _read(self, home: Path, block: Block) -> tuple[dict[str, Any], Table]:
        arrays, metadata = load_tensors(self._path(home, block).read_bytes())
        return json.loads(metadata["refit"]) | {"arrays": arrays}, np.asarray(arrays["test"], dtype=np.float64)

    def model(self, home: Path, manifest: str) -> PanelModel:
        """Load a model by the name of its manifest."""
        return load_panel_model(check_model(home / "models" / manifest)[1], DEEP)

    def _judge(self, home: Path, block: Block, told: dict[str, Any], speaking: str) -> Verdict:
        if not told["manifest"]:
            return Verdict(promoted=False, reason=told["note"])
        recent, held = told["arrays"]["recent"], told["arrays"]["held"]
        rows = self._held(block)
        labels = self.targets.known(0, block.fit_bar)[rows.start : rows.stop]
        earlier = self.model(home, speaking).scores(self.panel, rows) if speaking and len(rows) else None
        there = self.panel.there[block.fit_bar - len(recent) + 1 : block.fit_bar + 1]
        return self.walk.promotion.decide(
            Evidence(
                feature_names=check_model(home / "models" / told["manifest"])[0].feature_names,
                expected_names=self.panel.channels,
                is_classifier=False,
                recent=recent[there & np.isfinite(recent).any(axis=0)],
                labels=labels.ravel(),
                candidate=held.ravel(),
                incumbent=None if earlier is None else earlier.ravel(),
                horizon=self._reach() * len(self.panel.symbols),
                seed=self.seed,
            )
        )

    def _reach(self) -> int:
        times, coins = np.nonzero(self.targets.known_at != NEVER)
        return int(np.median(self.targets.known_at[times, coins] - times)) if len(times) else 1

    def _entry(self, block: Block, told: dict[str, Any], verdict: Verdict) -> TimelineEntry:
        times = self.panel.open_time
        manifest, first = told["manifest"], int(times[0])
        return TimelineEntry(
            trained_until=int(times[range(*told["rows"])[-1]]) if manifest else int(times[block.fit_bar]),
            known_at=int(times[block.fit_bar]),
            speaks_from=first + block.test_start * self.panel.timeframe.ms,
            file=f"models/{manifest}" if manifest else "",
            promoted=verdict.promoted,
            reason=verdict.reason,
            rows=len(range(*told["rows"])),
        )

    def test(self, block: Block) -> range:
        """Give the rows of a block that there are bars for."""
        last = len(self.panel)
        return range(min(block.test_start, last), min(block.test_stop, last))


def _fold(block: Block, entry: TimelineEntry, told: dict[str, Any]) -> PanelFold:
    return PanelFold(
        block,
        entry,
        range(*told["rows"]),
        told["until"],
        told["note"],
        tuple(told["importance"]),
        tuple(Epoch(**one) for one in told["curve"]),
    )
