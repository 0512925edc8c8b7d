"""`itb doctor`: look whether everything that itb needs is here and works."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from itb.charts.data import Table
from itb.config import parts
from itb.errors import ItbError
from itb.market.bars import utc
from itb.runs.capsule import run_ids, versions
from itb.runs.said import Said

if TYPE_CHECKING:
    from itb.runs.workspace import Workspace

_ENOUGH_BYTES = 2 * 1024**3
_EARLIEST_MS = 1_767_225_600_000  # 2026-01-01: a clock before this is wrong

Check = Callable[["Workspace"], str]


class _Worry(Exception):  # noqa: N818  # a warning, not an error
    """Works, but a person should know."""


def doctor(workspace: Workspace) -> Said:
    """Try everything once; a finding that is bad makes the exit code 1."""
    rows = list(_results(workspace))
    bad = [row for row in rows if row[1] == "bad"]
    told = {
        "checks": [dict(zip(("what", "state", "detail"), row, strict=True)) for row in rows],
        "versions": versions(),
    }
    last = f"{len(bad)} of {len(rows)} checks are bad." if bad else f"All {len(rows)} checks passed."
    return Said(told, (last,), Table(("what", "state", "detail"), tuple(rows)), found=bool(bad))


def _results(workspace: Workspace) -> Iterator[tuple[str, str, str]]:
    for name, check in CHECKS.items():
        try:
            yield name, "ok", check(workspace)
        except _Worry as worry:
            yield name, "warn", str(worry)
        except (ItbError, OSError, ImportError, AssertionError, ValueError) as error:
            yield name, "bad", f"{type(error).__name__}: {error}" if not isinstance(error, ItbError) else str(error)


def _python(_workspace: Workspace) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions().items())


def _config(workspace: Workspace) -> str:
    parts.check(workspace.config)
    return "built-in defaults" if workspace.config.source is None else str(workspace.config.source)


def _folders(workspace: Workspace) -> str:
    for folder in (workspace.runs, workspace.config.data_root):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor."):
            pass
    return f"{workspace.runs} and {workspace.config.data_root} can be written"


def _disk(workspace: Workspace) -> str:
    free = shutil.disk_usage(workspace.runs if workspace.runs.exists() else Path()).free
    said = f"{free / 1024**3:.1f} GiB free"
    if free < _ENOUGH_BYTES:
        raise _Worry(f"{said}; trained folds and reports may need more")
    return said


def _clock(workspace: Workspace) -> str:
    now = workspace.clock()
    if now < _EARLIEST_MS:
        raise ValueError(f"the clock says {utc(now)}; set it, downloads and run names depend on it")
    return utc(now)


def _store(workspace: Workspace) -> str:
    names = workspace.store.names()
    for key in names:
        workspace.store.series(*key)
    return f"{len(names)} series in {workspace.config.data_root}" if names else "no bars stored yet"


def _runs(workspace: Workspace) -> str:
    return f"{len(run_ids(workspace.runs))} finished runs, {len(workspace.register.looks())} looks in the register"


def _talib(_workspace: Workspace) -> str:
    import talib

    closes = np.arange(1.0, 41.0)
    assert talib.SMA(closes, 10)[-1] == closes[-10:].mean(), "TA-Lib computes a wrong average"
    return f"averages right, ta-lib {talib.__version__}"


def _lightgbm(_workspace: Workspace) -> str:
    from itb.mlmodels.boosting import LightGbm

    features = np.random.default_rng(0).normal(size=(600, 2)).astype(np.float32)
    labels = (features[:, 0] > 0).astype(np.float64)
    scores = LightGbm(rounds=20).fit(features, labels, seed=0).predict(features)
    assert scores[labels == 1].mean() > scores[labels == 0].mean(), "LightGBM learned nothing from an easy table"
    return "learned an easy table"


def _backtrader(_workspace: Workspace) -> str:
    from itb.backtest.run import Backtest
    from itb.datafeeds.waves import sinus
    from itb.indicators.score import ArrayScores
    from itb.strategies.ml_threshold import MLThreshold

    bars = sinus(bars=500)
    rising = np.append(np.diff(bars.close) > 0, False).astype(np.float64)
    scores = {"rising": ArrayScores("rising", bars.open_time, rising, 0.0, 1.0)}
    fills = [Backtest(MLThreshold, stepping=way).run(bars, scores).fills for way in ("sparse", "plain")]
    assert fills[0] == fills[1], "sparse and plain stepping differ"
    return f"{len(fills[0])} fills, the same sparse and plain"


CHECKS: dict[str, Check] = {
    "python and packages": _python,
    "config": _config,
    "folders": _folders,
    "disk": _disk,
    "clock": _clock,
    "bar store": _store,
    "runs": _runs,
    "TA-Lib": _talib,
    "LightGBM": _lightgbm,
    "backtrader": _backtrader,
}
