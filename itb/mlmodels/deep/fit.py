"""Training: batches as views, and the best state on the rows held back."""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.errors import ModelError
from itb.mlmodels.deep.blocks import scaled
from itb.mlmodels.deep.door import torch_for
from itb.mlmodels.deep.draft import State, read_draft, write_draft
from itb.mlmodels.deep.judging import Epoch, kept_epoch, mean_ic, mean_trading
from itb.mlmodels.deep.losses import loss_of
from itb.mlmodels.deep.model import PanelModel, Table, threads
from itb.mlmodels.deep.prefetch import ahead

if TYPE_CHECKING:
    from pathlib import Path

    from itb.mlmodels.deep.algorithm import DeepAlgorithm
    from itb.mlmodels.deep.lesson import PanelLesson

Told = Callable[[int, int], None]

_AT_ONCE = 1024
_SHARE_OF_GPU = 0.25


@dataclass(frozen=True, eq=False)
class Taught:
    """A fitted model and how training went, epoch by epoch."""

    model: PanelModel
    curve: tuple[Epoch, ...]

    @property
    def kept(self) -> int:
        """The epoch whose state was kept, counted from 0."""
        return kept_epoch(self.curve, self.model.part.judge)


def teach(
    part: DeepAlgorithm,
    lesson: PanelLesson,
    seed: int,
    *,
    start: PanelModel | None = None,
    draft: Path | None = None,
    told: Told | None = None,
) -> Taught:
    """Train a network, from ``start`` on where a model is given; the same input gives the same bits on one machine.

    ``draft`` is a file that is written after each epoch and taken up again when an earlier call was stopped; ``told``
    hears (epochs done, epochs at most). Raises :class:`itb.errors.ModelError` where there is nothing to learn.
    """
    torch = torch_for(part.name)
    if not lesson.cells:
        raise ModelError(f"{part.name}: no label is known of any window; load more bars, or shorten steps or the label")
    with threads(part.threads), _deterministic(part), torch.random.fork_rng():
        return _Training(part, lesson, seed, start, draft).run(told)


class _Training:
    def __init__(
        self, part: DeepAlgorithm, lesson: PanelLesson, seed: int, start: PanelModel | None, draft: Path | None
    ) -> None:
        import torch

        self.part, self.lesson, self.seed, self.draft = part, lesson, seed, draft
        self.device = _device(part)
        self.epochs = part.fine_tune_epochs if start is not None and part.fine_tune_epochs else part.epochs
        self.unit, self.level = lesson.label_scale()
        if start is not None:  # whose scales stay, but for coins that it had seen nothing of
            known = np.isfinite(start.unit)
            self.unit = np.where(known, start.unit, self.unit)
            self.level = np.where(known, start.level, self.level)
        torch.manual_seed(seed)
        channels = len(lesson.panel.channels)
        network = scaled(part.body(channels, len(lesson.panel.symbols)), channels)
        centre, scale = lesson.input_scale(part.steps)
        if start is not None:
            network.load_state_dict({name: torch.from_numpy(np.array(one)) for name, one in start.state.items()})
            before, spread = (network.get_buffer(name).numpy()[:, 0] for name in ("centre", "scale"))
            known = (before != 0) | (spread != 1)
            centre, scale = np.where(known, before, centre), np.where(known, spread, scale)
        network.centre.copy_(torch.from_numpy(centre)[:, None])
        network.scale.copy_(torch.from_numpy(scale)[:, None])
        self.network = network.to(self.device)
        self.cells, self.begin = self._scaled_cells()
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[part.optimizer]
        self.optimizer = kind(self.network.parameters(), lr=part.learning_rate, weight_decay=part.weight_decay)
        self.loss = loss_of(part)
        unit = np.where(np.isfinite(self.unit), self.unit, 1.0)
        self.labels = ((lesson.labels - self.level) / unit).astype(np.float32)
        self.tail_labels = ((lesson.tail_labels - self.level) / unit).astype(np.float32)
        self.state = read_draft(draft, self.network, self.optimizer) or State()

    def _scaled_cells(self) -> tuple[Any, int]:
        """Scale every bar once, not in each window that it lies in; give the cells and the row that they begin with.

        They are as large as the panel, mapped where it is mapped, and lie on the GPU where they find room there.
        """
        import torch

        lesson, network = self.lesson, self.network
        begin = lesson.rows[0] - self.part.steps + 1
        cells = lesson.panel.cells[:, begin : (lesson.tail or lesson.rows)[-1] + 1]
        found: Any
        if isinstance(lesson.panel.cells, np.memmap):
            with tempfile.TemporaryFile() as file:  # which is gone when nobody maps it any more
                found = np.memmap(file, np.float32, "w+", shape=cells.shape)
        else:
            found = np.empty(cells.shape, dtype=np.float32)
        centre, scale = (one.cpu().numpy()[:, 0] for one in (network.centre, network.scale))
        for place, row in enumerate(cells):
            found[place] = np.nan_to_num((row - centre[place]) / scale[place], nan=0.0, posinf=0.0, neginf=0.0)
        whole = torch.from_numpy(found)
        if self.device.type == "cuda" and found.nbytes < _SHARE_OF_GPU * torch.cuda.mem_get_info(self.device)[0]:
            whole = whole.to(self.device)
        return whole, begin

    def _windows(self, rows: range) -> Any:
        """Give the scaled windows that end with rows evenly apart, as a view."""
        import torch

        channels, width = self.cells.shape
        first = rows.start - self.part.steps + 1 - self.begin
        shape, apart = (len(rows), channels, self.part.steps), (rows.step, width, 1)
        return torch.as_strided(self.cells, shape, apart, first)

    def _rooms(self) -> list[Any]:
        """Give the memory that batches are copied into, again and again: one in use, those read ahead, one being read.

        Into new memory the same copy takes several times as long, most of it for the system to hand out pages.
        """
        import torch

        rows, depth = len(self.lesson.rows), self.part.prefetch
        most = -(-rows // max(1, rows // self.part.batch_rows))
        shape = (most, len(self.cells), self.part.steps)
        return [torch.empty(shape) for _ in range(depth + 2 if depth else 1)]

    def run(self, told: Told | None) -> Taught:
        """Train to the end."""
        state = self.state
        while state.epoch < self.epochs and state.since < self.part.patience:
            if told is not None:
                told(state.epoch, self.epochs)
            self._epoch()
            if self.draft is not None:
                write_draft(self.draft, self.network, self.optimizer, self.state)
        if told is not None:
            told(self.epochs, self.epochs)
        arrays = {name: np.array(one) for name, one in state.best.items()}
        coins = len(self.lesson.panel.symbols)
        plain = (self.unit, self.level, np.eye(coins), np.zeros(coins))
        model = PanelModel(self.part, self.lesson.panel.symbols, self.lesson.panel.channels, arrays, *plain)
        return Taught(model, tuple(state.curve))

    def _epoch(self) -> None:
        import torch

        state, part = self.state, self.part
        torch.manual_seed((self.seed * 1_000_003 + state.epoch + 1) % 2**63)
        draw = np.random.default_rng([self.seed, state.epoch])
        self.network.train()
        total, seen, rate = 0.0, 0.0, part.learning_rate
        for windows, labels, known in self._batches(draw):
            rate = self._rate()
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cuda", torch.bfloat16, enabled=part.mixed_precision and self.device.type == "cuda"):
                estimates = self.network.body(windows)
            loss = self.loss(estimates.float(), labels, known)
            loss.backward()
            if part.clip:
                torch.nn.utils.clip_grad_norm_(self.network.parameters(), part.clip)
            self.optimizer.step()
            state.batches += 1
            total += loss.detach() * len(windows)
            seen += len(windows)
        self._judge(float(total) / max(seen, 1), rate)

    def _batches(self, draw: np.random.Generator) -> Iterator[tuple[Any, Any, Any]]:
        import torch

        lesson, is_gpu, depth = self.lesson, self.device.type == "cuda", self.part.prefetch
        is_there = self.cells.is_cuda
        rooms = itertools.cycle(() if is_gpu else self._rooms())

        def read() -> Iterator[tuple[Any, Any, Any]]:
            for place in lesson.batches(self.part.batch_rows, draw):
                windows = self._windows(lesson.rows[place])
                labels = torch.from_numpy(self.labels[place])
                batch = (windows, torch.nan_to_num(labels), (~torch.isnan(labels)).float())
                if not is_gpu:
                    batch = (next(rooms)[: len(windows)].copy_(windows), *batch[1:])
                elif depth and not is_there:
                    batch = tuple(one.contiguous().pin_memory() for one in batch)
                yield batch

        for batch in ahead(read(), 0 if is_there else depth):
            moved = tuple(one.to(self.device, non_blocking=True) for one in batch)
            yield moved[0], moved[1], moved[2]

    def _rate(self) -> float:
        part, done = self.part, self.state.batches
        warm = min(1.0, (done + 1) / part.warmup_batches) if part.warmup_batches else 1.0
        return part.learning_rate * warm * part.plateau_factor**self.state.cuts

    def _judge(self, loss: float, rate: float) -> None:
        import torch

        state, part = self.state, self.part
        said = self._said()
        labels = torch.from_numpy(self.tail_labels)
        known = ~torch.isnan(labels)
        held = (
            float(self.loss(torch.from_numpy(said), torch.nan_to_num(labels), known.float())) if len(said) else np.nan
        )
        estimates: Table = said * np.where(np.isfinite(self.unit), self.unit, np.nan) + self.level
        ic = mean_ic(estimates, self.lesson.tail_labels)
        trading = mean_trading(estimates, self.lesson.tail_labels, part.cost)
        epoch = Epoch(state.epoch, loss, held, ic, trading, rate)
        worth = epoch.worth(part.judge)
        state.curve.append(epoch)
        state.epoch += 1
        if not state.best or (np.isfinite(worth) and worth > state.worth):
            state.best = {name: one.detach().cpu().numpy().copy() for name, one in self.network.state_dict().items()}
            state.worth, state.since, state.waited = (worth if np.isfinite(worth) else -np.inf), 0, 0
            return
        state.since += 1
        state.waited += 1
        if part.plateau_epochs and state.waited >= part.plateau_epochs:
            state.cuts, state.waited = state.cuts + 1, 0

    def _said(self) -> Any:
        import torch

        self.network.eval()
        rows = self.lesson.tail
        found = [np.zeros((0, len(self.lesson.panel.symbols)), dtype=np.float32)]
        with torch.inference_mode():
            for start in range(0, len(rows), _AT_ONCE):
                windows = self._windows(rows[start : start + _AT_ONCE]).to(self.device)
                found.append(self.network.body(windows).float().cpu().numpy())
        return np.concatenate(found)


def _device(part: DeepAlgorithm) -> Any:
    import torch

    has_gpu = torch.cuda.is_available()
    if part.device == "cuda" and not has_gpu:
        raise ModelError(f'{part.name}: device = "cuda", but torch finds no GPU; use device = "auto" or "cpu"')
    return torch.device("cuda" if has_gpu and part.device != "cpu" else "cpu")


@contextlib.contextmanager
def _deterministic(part: DeepAlgorithm) -> Iterator[None]:
    import torch

    before = torch.are_deterministic_algorithms_enabled()
    if part.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # or cuBLAS gives other bits each time
    torch.use_deterministic_algorithms(part.deterministic)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
