"""One refit of a walk-forward: learn, write the model, score the block, keep the result."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from itb.errors import ModelError
from itb.mlmodels.algorithm import complete_rows, score_rows, settings_of
from itb.mlmodels.bins import Binned, Bins
from itb.mlmodels.by_class import CLASS_NAMES, ByClass
from itb.mlmodels.coin_scales import CoinScales, enough_rows
from itb.mlmodels.files import write_whole
from itb.mlmodels.lesson import Lesson
from itb.mlmodels.registry import Manifest, check_model, save_model
from itb.mlmodels.training import ClassLostError, Taught, Training

if TYPE_CHECKING:
    from pathlib import Path

    from itb.market.bars import FloatArray, IntArray
    from itb.mlmodels.algorithm import Algorithm, FloatMatrix
    from itb.mlmodels.splits import Block
    from itb.mlmodels.table import TrainingTable

RECENT_ROWS = 256

PackedMarks = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class FoldJob:
    """What all refits of one walk-forward share, small enough to be sent to a worker process.

    ``coins`` are those whose rows take turns, in a pool.
    """

    algorithm: Algorithm
    column: str
    label_name: str
    feature_names: tuple[str, ...]
    blocks: tuple[Block, ...]
    holdback_bars: int
    min_train_rows: int
    every_nth_row: int
    timeframe_ms: int
    seed: int
    folder: Path
    training: Training = field(default_factory=Training)
    coins: tuple[str, ...] = ()

    def path(self, number: int) -> Path:
        """Where a refit's result is kept."""
        return self.folder / "folds" / f"{number:05d}.npz"

    @property
    def models(self) -> Path:
        return self.folder / "models"

    @property
    def by_coin(self) -> bool:
        """Whether features are scaled coin by coin."""
        return bool(self.coins) and self.training.coin_scaling != "none"

    def places(self, rows: IntArray) -> IntArray:
        """Say whose each row of a pool is, as a place among ``coins``."""
        return rows % len(self.coins)

    def read(self, features: FloatMatrix, rows: IntArray, scales: CoinScales | None) -> FloatMatrix:
        """Give features as a model reads them; ``rows`` are their positions in the table."""
        return features if scales is None else scales.rows(features, self.places(rows))


@dataclass(frozen=True, eq=False)
class FoldData:
    """The arrays that refits read: features may be a memory map, of which only the needed rows are copied."""

    features: FloatMatrix
    values: FloatArray
    known_at: IntArray
    open_time: IntArray
    close: FloatArray | None = None
    found: dict[str, Bins | None] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, table: TrainingTable) -> FoldData:
        """Take the arrays of a table."""
        return cls(table.features, table.label.values, table.label.known_at, table.open_time, table.close)

    def lesson(self, rows: IntArray) -> Lesson:
        """Give the rows to learn from, which must be complete and ascend."""
        is_stretch = len(rows) > 0 and rows[-1] - rows[0] == len(rows) - 1
        place = slice(int(rows[0]), int(rows[-1]) + 1) if is_stretch else rows
        features = np.ascontiguousarray(self.features[place])
        return Lesson(features, self.values[rows], rows, self.known_at, self.close)


@dataclass(frozen=True, eq=False)
class FoldResult:
    """What one refit left behind.

    ``manifest`` is the file name of the model's manifest, empty when nothing was fitted, and then ``note`` says why.
    ``rows`` bars were learned from, ``first_row`` to ``last_row``; the latest of their labels was known at
    ``last_known``. ``test`` scores the block, ``recent`` the newest complete rows at the fit, ``held`` the held-back
    rows. ``learned`` marks, bit by bit from ``first_row`` on, the rows that were learned from.
    """

    number: int
    manifest: str
    note: str
    rows: int
    first_row: int
    last_row: int
    last_known: int
    importance: FloatArray
    test: FloatArray
    recent: FloatArray
    held: FloatArray
    learned: PackedMarks


def fit_fold(job: FoldJob, data: FoldData, number: int) -> FoldResult:
    """Run one refit and keep its result; the same whatever process it runs in."""
    block = job.blocks[number]
    rows = training_rows(job, data, block)
    labels = data.values[rows]
    refusal = _refusal(job, labels)
    if refusal:
        result = _nothing(job, data, number, refusal, len(rows))
    else:
        (lesson, scales), bins = _lesson(job, data, rows), _bins(job, data)
        if bins is not None:
            bins.check(lesson.features, job.feature_names)
        try:
            taught = job.training.teach(job.algorithm, lesson, job.seed, bins)
            result = _score(job, data, number, rows, taught, scales)
        except ClassLostError as error:
            result = _nothing(job, data, number, str(error), len(rows))
    write_whole(job.path(number), _pack(result))
    return result


def stored_fold(job: FoldJob, number: int) -> FoldResult | None:
    """Give the kept result of a refit, or ``None`` if there is none that can be trusted."""
    try:
        result = _unpack(job.path(number).read_bytes())
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    block = job.blocks[number]
    if result.number != number or len(result.test) != block.test_stop - block.test_start:
        return None
    if result.manifest:
        try:
            check_model(job.models / result.manifest)
        except ModelError:
            return None
    return result


def training_rows(job: FoldJob, data: FoldData, block: Block) -> IntArray:
    """Give the rows that a refit learns from: complete, with a label that was known, thinned as asked."""
    rows = block.training_rows(data.known_at)
    if job.every_nth_row > 1:  # counted from the epoch, so that a refit elsewhere in time keeps the same bars
        rows = rows[data.open_time[rows] // job.timeframe_ms % job.every_nth_row == 0]
    if not len(rows):
        return rows
    first = int(rows[0])
    complete = complete_rows(data.features[first : int(rows[-1]) + 1])
    rows = job.training.newest(np.asarray(rows[complete[rows - first]], dtype=np.int64))
    return rows[enough_rows(job.places(rows), len(job.coins))] if job.by_coin else rows


def _lesson(job: FoldJob, data: FoldData, rows: IntArray) -> tuple[Lesson, CoinScales | None]:
    """Give the rows to learn from, scaled coin by coin if that is asked for, and by what."""
    lesson = data.lesson(rows)
    if not job.by_coin:
        return lesson, None
    scales = CoinScales.fit(lesson.features, job.places(rows), job.coins, job.training.coin_scaling)
    return replace(lesson, features=job.read(lesson.features, rows, scales)), scales


def _bins(job: FoldJob, data: FoldData) -> Bins | None:
    """Give the bins of the first window, found once in each process."""
    if not job.training.reuse_bins or not isinstance(job.algorithm, Binned):
        return None
    if "bins" not in data.found:
        rows = training_rows(job, data, job.blocks[0])
        data.found["bins"] = job.algorithm.bins(_lesson(job, data, rows)[0].features, job.seed) if len(rows) else None
    return data.found["bins"]


def _refusal(job: FoldJob, labels: FloatArray) -> str:
    if len(labels) < job.min_train_rows:
        return f"only {len(labels)} rows with known label and all features, {job.min_train_rows} are needed"
    if (labels == labels[0]).all():
        return f"all {len(labels)} labels are {labels[0]:g}: nothing to tell apart"
    if isinstance(job.algorithm, ByClass) and len(np.unique(labels)) < len(CLASS_NAMES):
        return f"the {len(labels)} labels are only {' and '.join(f'{one:g}' for one in np.unique(labels))}"
    return ""


def _nothing(job: FoldJob, data: FoldData, number: int, note: str, rows: int) -> FoldResult:
    block = job.blocks[number]
    empty = np.zeros(0)
    return FoldResult(
        number=number,
        manifest="",
        note=note,
        rows=rows,
        first_row=block.fit_bar,
        last_row=block.fit_bar,
        last_known=-1,
        importance=np.zeros(data.features.shape[1]),
        test=np.full(block.test_stop - block.test_start, np.nan),
        recent=empty,
        held=empty,
        learned=np.zeros(0, dtype=np.uint8),
    )


def _score(
    job: FoldJob, data: FoldData, number: int, rows: IntArray, taught: Taught, scales: CoinScales | None
) -> FoldResult:
    block, model = job.blocks[number], taught.model

    def read(rows: IntArray | slice) -> FloatMatrix:
        return job.read(data.features[rows], np.arange(len(data.open_time))[rows], scales)

    note = "; ".join(part for part in (model.note, taught.note) if part)
    stopped = {} if taught.steps is None else {"stopped_after_steps": taught.steps}
    manifest = Manifest(
        column=job.column,
        label=job.label_name,
        algorithm=job.algorithm.name,
        settings=settings_of(job.algorithm) | stopped,
        feature_names=job.feature_names,
        rows=len(rows),
        seed=job.seed,
        trained_from=int(data.open_time[rows[0]]),
        trained_until=int(data.open_time[rows[-1]]),
        known_at=int(data.open_time[block.fit_bar]),
        note=note,
    )
    newest = read(slice(max(block.train_start, block.fit_bar + 1 - 4 * RECENT_ROWS), block.fit_bar + 1))
    return FoldResult(
        number=number,
        manifest=save_model(model, job.algorithm, manifest, job.models, scales),
        note=note,
        rows=len(rows),
        first_row=int(rows[0]),
        last_row=int(rows[-1]),
        last_known=int(data.known_at[rows].max()),
        importance=model.importance,
        test=score_rows(model, read(slice(block.test_start, block.test_stop))),
        recent=score_rows(model, newest[complete_rows(newest)][-RECENT_ROWS:]),
        held=score_rows(model, read(block.holdback_rows(data.known_at, job.holdback_bars))),
        learned=pack_rows(rows),
    )


def pack_rows(rows: IntArray) -> PackedMarks:
    """Mark ascending rows bit by bit, counted from the first of them."""
    marks = np.zeros(int(rows[-1] - rows[0]) + 1 if len(rows) else 0, dtype=np.bool_)
    marks[rows - rows[0] if len(rows) else rows] = True
    return np.packbits(marks)


def unpack_rows(marks: PackedMarks, first_row: int) -> IntArray:
    """Give the rows back.

    >>> unpack_rows(pack_rows(np.array([5, 6, 19])), 5).tolist()
    [5, 6, 19]
    """
    return np.flatnonzero(np.unpackbits(marks)).astype(np.int64) + first_row


def _pack(result: FoldResult) -> bytes:
    target = io.BytesIO()
    columns: dict[str, Any] = {field.name: np.asarray(getattr(result, field.name)) for field in fields(result)}
    np.savez(target, **columns)
    return target.getvalue()


def _unpack(content: bytes) -> FoldResult:
    with np.load(io.BytesIO(content), allow_pickle=False) as kept:
        found = {name: kept[name] for name in kept.files}
    return FoldResult(**{name: value.item() if value.ndim == 0 else value for name, value in found.items()})
