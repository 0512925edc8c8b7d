"""`itb doctor`: look whether everything that itb needs is here and works."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from itb.charts.data import Table
from itb.config import Config
from itb.errors import ConfigError, ItbError
from itb.market.bars import utc
from itb.runs.capsule import run_ids, versions
from itb.runs.said import Said
from itb.runs.workspace import Workspace

if TYPE_CHECKING:
    from itb.market.bars import FloatArray

State = Literal["ok", "warn", "bad"]

_ENOUGH_BYTES, _FEWEST_BYTES = 2 * 1024**3, 100 * 1024**2
_EARLIEST_MS = 1_735_689_600_000  # 2025-01-01: a clock before this is wrong
_DRIFT_MS = 5_000
_LIBRARIES = ("lightgbm", "logistic")  # LightGBM; scikit-learn and skops


@dataclass(frozen=True)
class Finding:
    """What one check found, and how bad that is."""

    state: State
    detail: str


Check = Callable[[Workspace], Finding]


def doctor(open_workspace: Callable[[], Workspace]) -> Said:
    """Try everything once; a finding that is bad makes the exit code 1.

    A config that cannot be read is a finding like any other: the rest is then looked at with built-in settings.
    """
    found: dict[str, Finding] = {}
    try:
        workspace = open_workspace()
        found["config"] = _tried(_config, workspace)
    except ConfigError as error:
        workspace = Workspace(Config())
        found["config"] = Finding("bad", str(error))
    found |= {name: _tried(check, workspace) for name, check in CHECKS.items()}
    count = {state: sum(one.state == state for one in found.values()) for state in ("bad", "warn")}
    told = {
        "checks": [{"what": name, "state": one.state, "detail": one.detail} for name, one in found.items()],
        "versions": versions(),
    }
    rows = tuple((name, one.state, one.detail) for name, one in found.items())
    line = f"{count['bad']} of {len(rows)} checks are bad" if count["bad"] else f"All {len(rows)} checks passed"
    worried = f", {count['warn']} with a warning" if count["warn"] else ""
    return Said(told, (f"{line}{worried}.",), Table(("what", "state", "detail"), rows), found=bool(count["bad"]))


def _tried(check: Check, workspace: Workspace) -> Finding:
    try:
        return check(workspace)
    except ItbError as error:
        return Finding("bad", str(error))
    except Exception as error:  # noqa: BLE001  # whatever fails, and however, is what the doctor is asked for
        return Finding("bad", f"{type(error).__name__}: {error}")


def _config(workspace: Workspace) -> Finding:
    from itb.runs.project import build_everything

    build_everything(workspace)
    return Finding("ok", "built-in settings" if workspace.config.source is None else str(workspace.config.source))


def _packages(_workspace: Workspace) -> Finding:
    absent, found = [], []
    for requirement in requires("itb") or ():
        if "extra ==" in requirement:
            continue
        name, exact = re.match(r"([\w.-]+)(?:==([\w.]+))?", requirement).groups()  # type: ignore[union-attr]  # PEP 508
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            absent.append(name)
            continue
        if exact and version(name) != exact:
            return Finding("warn", f"{name} is {version(name)}, itb was tested with {exact}")
    if absent:
        return Finding("bad", f"not installed: {', '.join(absent)}; install itb with its requirements.lock")
    mine = versions()
    return Finding("ok", ", ".join([f"itb {mine['itb']}", f"python {mine['python']}", *sorted(found)]))


def _folders(workspace: Workspace) -> Finding:
    places = {"runs": workspace.runs, "bars": workspace.config.data_root}
    for folder in places.values():
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"{folder} is a file, and a folder is needed there")
        with tempfile.NamedTemporaryFile(dir=_existing(folder), prefix=".itb-doctor-"):
            pass
    return Finding("ok", ", ".join(f"{what} can be written to {folder}" for what, folder in places.items()))


def _disk(workspace: Workspace) -> Finding:
    free = min(shutil.disk_usage(_existing(place)).free for place in (workspace.runs, workspace.config.data_root))
    said = f"{free / 1024**3:.1f} GiB free"
    if free < _ENOUGH_BYTES:
        return Finding("warn" if free > _FEWEST_BYTES else "bad", f"{said}; a run with minute bars may need 2 GiB")
    return Finding("ok", said)


def _clock(workspace: Workspace) -> Finding:
    now = workspace.clock()
    if now < _EARLIEST_MS:
        return Finding("bad", f"the clock says {utc(now)}; set it: downloads, run names and the register depend on it")
    with tempfile.NamedTemporaryFile(dir=_existing(workspace.runs), prefix=".itb-doctor-") as file:
        drift_ms = abs(Path(file.name).stat().st_mtime * 1000 - workspace.clock())
    if drift_ms > _DRIFT_MS:
        return Finding("warn", f"the clock says {utc(now)}, the disk's differs by {drift_ms / 1000:.0f} s")
    return Finding("ok", utc(now))


def _store(workspace: Workspace) -> Finding:
    names = workspace.store.names()
    stored = [workspace.store.series(*key) for key in names]
    ahead = next((one for one in stored if one.last_ms > workspace.clock()), None)
    if ahead is not None:
        series = f"{ahead.exchange} {ahead.symbol} {ahead.timeframe}"
        return Finding("warn", f"{series} ends at {utc(ahead.last_ms)}, which is yet to come")
    if not stored:
        return Finding("ok", f"no bars are stored in {workspace.store.root} yet")
    return Finding("ok", f"{len(stored)} series, {sum(one.bars for one in stored):,} bars in {workspace.store.root}")


def _bars(workspace: Workspace) -> Finding:
    """Read the configured bars from the first to the last, as a run would."""
    data = workspace.config.data
    if data.is_synthetic:
        return Finding("ok", "the built-in market")
    frames = [data.timeframe, *([data.detail_timeframe] if data.detail_timeframe else [])]
    series = [(symbol, frame) for symbol in data.symbols for frame in frames]
    count = sum(len(workspace.store.read(data.exchange, *one, data.start_ms, data.stop_ms)) for one in series)
    names = ", ".join(f"{symbol} {frame}" for symbol, frame in series)
    return Finding("ok" if count else "bad", f"{data.exchange} {names}: {count:,} bars in the configured range")


def _runs(workspace: Workspace) -> Finding:
    runs, looks = len(run_ids(workspace.runs)), len(workspace.register.looks())
    return Finding("ok", f"finished runs: {runs}, looks in the register: {looks}")


def _talib(_workspace: Workspace) -> Finding:
    from itb.datafeeds.waves import sinus
    from itb.indicators.talib_features import TalibFeatures

    bars = sinus(bars=60)
    feature = TalibFeatures(functions=("SMA",), windows=(10,))
    computed, expected = float(feature(bars)[-1, 0]), float(bars.close[-10:].mean())
    if not np.isclose(computed, expected):
        return Finding("bad", f"the average of ten closes is {expected}, TA-Lib says {computed}")
    return Finding("ok", f"ta-lib {version('ta-lib')} computes an average rightly")


def _models(_workspace: Workspace) -> Finding:
    """Teach an easy table to one algorithm of each library, and read its model back from bytes."""
    from itb.mlmodels.algorithms import ALGORITHMS

    features = np.random.default_rng(0).normal(size=(600, 2)).astype(np.float32)
    labels: FloatArray = (features[:, 0] > 0).astype(np.float64)
    for name in _LIBRARIES:
        algorithm = ALGORITHMS[name]()
        model = algorithm.fit(features, labels, seed=0)
        scores = model.predict(features)
        if not scores[labels == 1].mean() > scores[labels == 0].mean():
            return Finding("bad", f"{name} learned nothing from an easy table")
        if not np.array_equal(algorithm.load(model.to_bytes()).predict(features), scores):
            return Finding("bad", f"{name} says something else when its model is read back")
    return Finding("ok", f"{' and '.join(_LIBRARIES)} learn an easy table")


def _backtrader(_workspace: Workspace) -> Finding:
    from itb.backtest.run import Backtest
    from itb.datafeeds.waves import sinus
    from itb.indicators.score import ArrayScores
    from itb.strategies.ml_threshold import MLThreshold

    bars = sinus(bars=500)
    rising = np.append(np.diff(bars.close) > 0, [False]).astype(np.float64)
    scores = {"rising": ArrayScores("rising", bars.open_time, rising, 0.0, 1.0)}
    sparse, plain = (Backtest(MLThreshold, stepping=way).run(bars, scores) for way in ("sparse", "plain"))
    if not sparse.fills:
        return Finding("bad", "a strategy that should trade did not")
    if sparse.fills != plain.fills or not np.array_equal(sparse.equity, plain.equity):
        return Finding("bad", "the fast run and stock backtrader differ")
    return Finding("ok", f"backtrader {version('backtrader')}: {len(sparse.fills)} fills, the same fast and plain")


def _report(_workspace: Workspace) -> Finding:
    from itb.charts.data import ReportData
    from itb.charts.page import render

    page = render(ReportData("doctor", "Nothing was traded.", "doctor", is_synthetic=True))
    return Finding("ok", f"an empty one has {len(page) / 1024**2:.1f} MiB")


def _existing(place: Path) -> Path:
    """Give the folder, or the nearest one above it that is there."""
    absolute = place.absolute()
    return next(folder for folder in (absolute, *absolute.parents) if folder.is_dir())


CHECKS: dict[str, Check] = {
    "packages": _packages,
    "folders": _folders,
    "disk": _disk,
    "clock": _clock,
    "bar store": _store,
    "bars": _bars,
    "runs": _runs,
    "TA-Lib": _talib,
    "models": _models,
    "backtrader": _backtrader,
    "report": _report,
}
