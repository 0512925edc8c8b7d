"""Where training stands after an epoch, and the file from which it goes on when it was stopped."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from itb.errors import ModelError
from itb.mlmodels.deep.judging import Epoch
from itb.mlmodels.deep.tensors import dump_tensors, load_tensors
from itb.mlmodels.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

_COUNTS = ("epoch", "worth", "since", "waited", "cuts", "batches")


@dataclass
class State:
    """Where training stands: epochs and batches done, the best arrays and what they were worth, how long ago.

    ``since`` counts epochs after the best one, ``waited`` those after the best one or the last of ``cuts``, by which
    the step size fell.
    """

    epoch: int = 0
    best: dict[str, Any] = field(default_factory=dict)
    worth: float = -np.inf
    since: int = 0
    waited: int = 0
    cuts: int = 0
    batches: int = 0
    curve: list[Epoch] = field(default_factory=list)


def write_draft(path: Path, network: Any, optimizer: Any, state: State) -> None:
    """Keep everything that the next epoch hangs on."""
    arrays = {f"now.{name}": one.detach().cpu().numpy() for name, one in network.state_dict().items()}
    arrays |= {f"best.{name}": np.asarray(one) for name, one in state.best.items()}
    for number, own in optimizer.state_dict()["state"].items():
        arrays |= {f"step.{number}.{name}": np.asarray(one.detach().cpu()) for name, one in own.items()}
    told: dict[str, Any] = {name: getattr(state, name) for name in _COUNTS}
    told["curve"] = [asdict(epoch) for epoch in state.curve]
    write_whole(path, dump_tensors(arrays, {"training": json.dumps(told)}))


def read_draft(path: Path | None, network: Any, optimizer: Any) -> State | None:
    """Put network and optimizer where they stood; ``None`` where there is no whole file, and training begins anew."""
    import torch

    if path is None or not path.exists():
        return None
    try:
        arrays, metadata = load_tensors(path.read_bytes())
    except ModelError:
        return None
    told = json.loads(metadata["training"])
    network.load_state_dict({name[4:]: torch.from_numpy(one) for name, one in arrays.items() if name[:4] == "now."})
    steps: dict[int, dict[str, Any]] = {}
    for name, one in arrays.items():
        if name.startswith("step."):
            _, number, kind = name.split(".")
            steps.setdefault(int(number), {})[kind] = torch.from_numpy(one)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": steps})
    curve = [Epoch(**epoch) for epoch in told.pop("curve")]
    best = {name[5:]: one for name, one in arrays.items() if name.startswith("best.")}
    return State(**told, best=best, curve=curve)
