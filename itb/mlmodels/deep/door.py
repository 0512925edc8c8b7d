"""The door to torch: an optional package, asked for by name and imported only by those who need it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from itb.errors import ModelError


def is_there() -> bool:
    """Whether torch is installed."""
    return find_spec("torch") is not None


def torch_for(algorithm: str) -> Any:
    """Import torch; raise :class:`itb.errors.ModelError` where it is not installed."""
    if not is_there():
        raise ModelError(f'{algorithm} needs the package torch, which is not installed; pip install "itb[deep]"')
    import torch

    return torch
