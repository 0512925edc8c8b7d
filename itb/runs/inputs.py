"""What a run was made of, as fingerprints: they tell why a run differs from its capsule."""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING

from itb.config.plugins import plugin_files
from itb.runs.funding import read_funding
from itb.runs.market import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from itb.config import Config
    from itb.runs.market import Market


def inputs(config: Config, market: Market, strategy: type, others: Iterable[Market] = ()) -> dict[str, str]:
    """Give a sha256 for each thing that lies outside config and package: bars, rates, strategy, plugins."""
    found = {"bars": market.fingerprint}
    found |= {f"bars of {other.bars.symbol}": other.fingerprint for other in others}
    if market.finer is not None:
        found["finer bars"] = fingerprint(market.finer)
    rates = read_funding(config, market)
    if rates is not None:
        found["funding rates"] = rates.fingerprint
    source = inspect.getsourcefile(strategy)
    if source is not None:
        found["strategy code"] = file_hash(Path(source))
    found |= {f"plugin {path.name}": file_hash(path) for path in plugin_files(config)}
    return found


def file_hash(path: Path) -> str:
    """Fingerprint a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
