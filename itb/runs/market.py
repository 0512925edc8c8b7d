"""From a config to the bars a run may look at."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from itb.config import parts
from itb.errors import BarsError, ConfigError
from itb.ledger.holdout import Holdout, enter_holdout
from itb.ledger.register import market_of
from itb.market.bars import utc
from itb.market.gaps import find_gaps, treat
from itb.runs.sources import join_sources

if TYPE_CHECKING:
    from itb.config import Config
    from itb.datafeeds.sources import Joined
    from itb.market.bars import Bars
    from itb.runs.workspace import Workspace


@dataclass(frozen=True, eq=False)
class Market:
    """One symbol's bars as a run sees them: gaps treated, cut to the asked range, stopped before the hold-out.

    ``bars`` carry the columns of the ``sources``. ``fingerprint`` is that of ``bars``. ``missing``
    counts the bars that were not there before gaps were treated.
    """

    name: str
    bars: Bars
    is_synthetic: bool
    fingerprint: str
    missing: int
    holdout: Holdout
    finer: Bars | None = None
    sources: tuple[Joined, ...] = ()

    @property
    def stop_ms(self) -> int:
        """End of the last bar, UTC milliseconds."""
        return int(self.bars.close_time[-1])

    @property
    def holdout_seen(self) -> bool:
        """Whether these bars reach into the hold-out."""
        return self.holdout.is_seen_in(self.stop_ms)


def load_bars(workspace: Workspace, symbol: str) -> Bars:
    """Load one symbol's bars over the configured range, gaps as they are and hold-out included.

    Raises :class:`itb.errors.BarsError` when nothing is left.
    """
    config = workspace.config
    if config.universe.use:
        told = "its members were not chosen; call itb.runs.universe.with_universe first"
        raise ConfigError(config.complaint(("universe", "use"), told))
    if config.data.is_synthetic:
        bars = parts.synthetic_market(config).bars()[symbol]
        bars = bars.between(config.data.start_ms, config.data.stop_ms)
    elif config.data.file is not None:
        from itb.datafeeds.importers import read_file

        bars = read_file(config.locate(config.data.file), symbol, config.data.timeframe)
        bars = bars.between(config.data.start_ms, config.data.stop_ms)
    else:
        bars = workspace.store.read(
            config.data.exchange, symbol, config.data.timeframe, config.data.start_ms, config.data.stop_ms
        )
    if workspace.window is not None:
        bars = bars.between(*workspace.window)
    if not len(bars):
        since = "the beginning" if config.data.start_ms is None else utc(config.data.start_ms)
        until = "the end" if config.data.stop_ms is None else utc(config.data.stop_ms)
        raise BarsError(
            f"{symbol} {config.data.timeframe}: no bars from {since} to {until}; "
            "see `itb data list` for what there is, or widen data.from and data.to"
        )
    return bars


def load_market(workspace: Workspace, symbol: str, *, run_id: str, command: str) -> Market:
    """Load what a run may look at, and enter the hold-out into the register if the config names one."""
    config = workspace.config
    name = market_name(config, symbol)
    everything = load_bars(workspace, symbol)
    if not workspace.judges_nothing:
        _refuse_all_sealed(config, everything)
    holdout = entered_holdout(workspace, name, run_id=run_id, command=command)
    raw = holdout.research(everything)
    if not len(raw):
        raise _all_sealed(everything)
    bars, sources = join_sources(workspace, treat(raw, config.data.gaps))
    return Market(
        name=name,
        bars=bars,
        is_synthetic=config.data.is_synthetic,
        fingerprint=fingerprint(bars),
        missing=sum(gap.bars for gap in find_gaps(raw)),
        holdout=holdout,
        finer=_finer(workspace, symbol, bars),
        sources=sources,
    )


def entered_holdout(workspace: Workspace, name: str, *, run_id: str, command: str) -> Holdout:
    """Enter a market's hold-out into the register and say where the run stops; one that judges nothing enters none."""
    if workspace.judges_nothing:
        return Holdout(name)
    return enter_holdout(
        workspace.register,
        name,
        workspace.config.data.holdout_ms,
        include=workspace.opens_holdout,
        time=workspace.clock(),
        run_id=run_id,
        command=command,
    )


def _refuse_all_sealed(config: Config, bars: Bars) -> None:
    """Refuse a date that seals every bar before it is fixed for ever: it was mistyped."""
    sealed_from = config.data.holdout_ms
    if sealed_from is not None and bars.close_time[0] > sealed_from:
        raise _all_sealed(bars)


def _all_sealed(bars: Bars) -> BarsError:
    return BarsError(
        f"{bars.label}: every bar lies in the hold-out, the first is {utc(bars.open_time[0])}; move data.from back, "
        "or data.holdout_from on, or look beyond it with --include-holdout, which is recorded for ever"
    )


def market_name(config: Config, symbol: str) -> str:
    """Name the market that looks are counted by."""
    seed = parts.synthetic_market(config).seed if config.data.is_synthetic else None
    return market_of(symbol, synthetic_seed=seed)


def fingerprint(bars: Bars) -> str:
    """Sha256 of symbol, timeframe, times and every column."""
    digest = hashlib.sha256(repr((bars.symbol, str(bars.timeframe), list(bars.columns))).encode())
    digest.update(bars.open_time.tobytes())
    for values in bars.columns.values():
        digest.update(values.tobytes())
    return digest.hexdigest()


def _finer(workspace: Workspace, symbol: str, bars: Bars) -> Bars | None:
    """Load the finer bars that the config names, else the finest that the store has; ``None`` without any."""
    data = workspace.config.data
    if data.is_synthetic or (data.file is not None and data.detail_timeframe is None):
        return None
    detail = data.detail_timeframe
    if detail is None:
        stored = (key.timeframe for key in workspace.store.names() if key[:2] == (data.exchange, symbol))
        finer = [frame for frame in stored if frame < data.timeframe and data.timeframe.is_multiple_of(frame)]
        if not finer:
            return None
        detail = min(finer)
    return workspace.store.read(data.exchange, symbol, detail, int(bars.open_time[0]), int(bars.close_time[-1]))
