"""A fitted network: plain arrays that torch computes with, one score per coin and row."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from itb.errors import ModelError
from itb.mlmodels.deep.blocks import scaled
from itb.mlmodels.deep.door import torch_for
from itb.mlmodels.deep.tensors import dump_tensors, load_tensors

if TYPE_CHECKING:
    from itb.mlmodels.deep.algorithm import DeepAlgorithm
    from itb.mlmodels.deep.panel import Cells, Panel

Table = npt.NDArray[np.float64]

_STATE = "network."
_AT_ONCE, _CELLS, _SLOPES = 256, 1 << 22, 64


@dataclass(frozen=True, eq=False)
class PanelModel:
    """What was learned: ``state`` are the network's arrays, ``unit`` and ``level`` turn its numbers into labels.

    ``unit`` is NaN for a coin of which nothing was learned: it has no score. ``mix`` (coins x coins) and ``offset``
    turn labels into expected ones where they were calibrated. Scores are computed in double precision and rounded to
    single, so that a window scores the same alone and among others.
    """

    part: DeepAlgorithm
    symbols: tuple[str, ...]
    channels: tuple[str, ...]
    state: Mapping[str, np.ndarray[Any, Any]]
    unit: Table
    level: Table
    mix: Table
    offset: Table

    @cached_property
    def network(self) -> Any:
        """The network on the CPU, in double precision, ready to score."""
        return self.built().double()

    def built(self) -> Any:
        """Build the network with the arrays in it; raise :class:`itb.errors.ModelError` if they do not fit."""
        torch = torch_for(self.part.name)
        with torch.random.fork_rng(devices=[]):
            network = scaled(self.part.body(len(self.channels), len(self.symbols)), len(self.channels))
        wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        if wanted != {name: array.shape for name, array in self.state.items()}:
            raise ModelError(
                f"the arrays of the file are not those of {self.part.name} on {len(self.channels)} channels of "
                f"{len(self.symbols)} coins. Train again."
            )
        network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in self.state.items()})
        return network.eval()

    def scores(self, panel: Panel, rows: range) -> Table:
        """Score every coin at ``rows`` (rows x coins); NaN where its bar or the window's beginning is missing."""
        found = np.full((len(rows), len(self.symbols)), np.nan)
        late = next((place for place, row in enumerate(rows) if row >= self.part.warmup), len(rows))
        at_once = min(_AT_ONCE, max(1, _CELLS // (len(self.channels) * self.part.steps)))
        for start in range(late, len(rows), at_once):
            part = rows[start : start + at_once]
            estimates = self.estimates(panel.windows(part, self.part.steps))
            found[start : start + len(part)] = np.where(
                panel.there[part.start : part.stop : part.step], estimates, np.nan
            )
        return found

    def estimates(self, windows: Cells) -> Table:
        """Score windows (rows x channels x steps) that are whole."""
        torch = torch_for(self.part.name)
        with torch.inference_mode(), threads(self.part.threads):
            said = self.network(torch.from_numpy(windows).double()).float().double().numpy()
        return self.in_labels(np.asarray(said, dtype=np.float64))

    def in_labels(self, said: Table) -> Table:
        """Turn the network's own numbers into labels, each row by itself."""
        estimates = said * self.unit + self.level
        filled = np.where(np.isfinite(self.unit), estimates, 0.0)
        mixed = np.sum(filled[:, :, np.newaxis] * self.mix, axis=1) + self.offset
        return np.where(np.isfinite(self.unit), mixed, np.nan)

    def importance(self, panel: Panel, rows: range) -> list[float]:
        """Give for each channel the mean absolute slope of all scores by its scaled values, at up to 64 of ``rows``."""
        torch = torch_for(self.part.name)
        rows = rows[:: -(-len(rows) // _SLOPES)]
        scale = self.network.scale
        windows = torch.from_numpy(panel.windows(rows, self.part.steps)).double().requires_grad_()
        with threads(self.part.threads):
            slopes = torch.autograd.grad(self.network(windows).sum(), windows)[0] * scale
        found: list[float] = slopes.abs().mean(dim=(0, 2)).tolist()
        return found

    def to_bytes(self) -> bytes:
        """Give the content of the model file."""
        own = {"unit": self.unit, "level": self.level, "mix": self.mix, "offset": self.offset}
        settings = {field.name: getattr(self.part, field.name) for field in fields(self.part)}
        told = {"symbols": self.symbols, "channels": self.channels, "settings": settings}
        metadata = {"algorithm": self.part.name, "panel": json.dumps(told, sort_keys=True)}
        return dump_tensors({**{_STATE + name: array for name, array in self.state.items()}, **own}, metadata)


def load_panel_model(content: bytes, algorithms: Mapping[str, type[DeepAlgorithm]]) -> PanelModel:
    """Read a model file; raise :class:`itb.errors.ModelError` for anything else."""
    arrays, metadata = load_tensors(content)
    try:
        told = json.loads(metadata["panel"])
        symbols, channels = tuple(told["symbols"]), tuple(told["channels"])
        settings: dict[str, Any] = {name: _tupled(value) for name, value in told["settings"].items()}
        part = algorithms[metadata["algorithm"]](**settings)
        coins = len(symbols)
        own = {name: arrays.pop(name) for name in ("unit", "level", "mix", "offset")}
        shapes = {"unit": (coins,), "level": (coins,), "mix": (coins, coins), "offset": (coins,)}
        state = {name.removeprefix(_STATE): array for name, array in arrays.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"not a network of itb ({error}). Train the model again.") from None
    if {name: array.shape for name, array in own.items()} != shapes:
        raise ModelError(f"the scales of the file are not those of {coins} coins. Train the model again.")
    model = PanelModel(part, symbols, channels, state, **own)
    model.built()
    return model


def _tupled(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch compute with so many threads as long as the context lasts."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
