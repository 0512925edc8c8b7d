"""`itb init` and `itb config`: the config of a project, written, checked and shown."""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from itb.config import Config, parts
from itb.config.dump import config_hash
from itb.config.in_force import in_force
from itb.config.load import CONFIG_NAME
from itb.config.messages import dotted
from itb.config.plugins import load_plugins
from itb.config.schema import schema as config_schema
from itb.config.starter import starter
from itb.config.values import from_ms, plain_moment
from itb.errors import BarsError, ConfigError
from itb.ledger.register import market_of
from itb.market.gaps import count_of
from itb.runs.said import Said

if TYPE_CHECKING:
    from pathlib import Path

    from itb.datafeeds.store import BarStore, StoredSeries
    from itb.runs.workspace import Workspace

_WRITTEN = {("data", "exchange"), ("data", "symbols"), ("data", "timeframe")}


def init(workspace: Workspace, file: Path, *, force: bool = False) -> Said:
    """Write a commented config for the market that the options name; the last fifth of its bars is to be sealed.

    Where only an exchange is named, symbol and timeframe are those of its first stored series.
    """
    _refuse_unwritten(workspace.config)
    if file.exists() and not force:
        raise ConfigError(f"{file}: is there already; edit it, name another file, or overwrite it with --force")
    place = _target(workspace, file)
    chosen = _choose(workspace.config, place.store)
    stored, sealed = chosen.stored, _sealed(place, chosen)
    text = starter(
        chosen.exchange,
        (chosen.symbol, *chosen.others),
        chosen.timeframe,
        None if stored is None else stored.first_ms,
        None if stored is None else stored.last_ms,
        holdout_from=sealed,
    )
    _write(file, text, force=force)
    holdout = tomllib.loads(text)["data"].get("holdout_from")
    with_config = "" if file.name == CONFIG_NAME else f" -c {file}"
    steps = [f"itb config check{with_config}", f"itb backtest{with_config}"]
    lines = [f"Wrote {file}: {chosen.exchange} {chosen.symbol} {chosen.timeframe}, every setting with its meaning."]
    if sealed is not None:
        lines.append(f"The hold-out of this market was sealed before, from {sealed} on, and stays where it is.")
    elif holdout is not None:
        lines.append(f"The last fifth of the bars, from {holdout}, is to be the hold-out: the first run seals it.")
    if stored is not None and stored.missing:
        lines.append(f'{count_of(stored.missing)} missing: runs refuse that until data.gaps is "flat" or "drop".')
    if chosen.exchange != "synthetic" and stored is None:
        lines.append(
            f"No bars of {chosen.exchange} {chosen.symbol} {chosen.timeframe} are stored in {place.store.root} yet."
        )
        steps[:0] = [f"itb data download --days 400{with_config}"]
    lines.append("Next: " + ", then ".join(f"`{step}`" for step in steps) + ".")
    lines += _other_bars(chosen, place.store)
    told = {"file": str(file), "exchange": chosen.exchange, "symbol": chosen.symbol, "timeframe": chosen.timeframe}
    return Said({**told, "holdout_from": holdout and str(holdout), "next": steps}, tuple(lines))


def _target(workspace: Workspace, file: Path) -> Workspace:
    """Give the workspace that a config in ``file`` will have: its folders are those of the environment or defaults."""
    config = workspace.config
    folders = Config() if config.source else config
    return replace(workspace, config=folders.of(None, file.parent, {}))


def _sealed(place: Workspace, chosen: _Chosen) -> str | None:
    seed = parts.synthetic_market(place.config).seed if chosen.exchange == "synthetic" else None
    seal = place.register.sealed(market_of(chosen.symbol, synthetic_seed=seed))
    return None if seal is None else plain_moment(from_ms(seal.from_ms))


@dataclass(frozen=True)
class _Chosen:
    """The market that a new config is about, and what is stored of it."""

    exchange: str
    symbol: str
    others: tuple[str, ...]
    timeframe: str
    stored: StoredSeries | None


def _choose(config: Config, store: BarStore) -> _Chosen:
    data = config.data
    symbols, timeframe = data.symbols, data.timeframe
    if data.is_synthetic:
        return _Chosen(data.exchange, symbols[0], symbols[1:], str(timeframe), None)
    named = set(config.origins.values())
    fitting = [
        key
        for key in store.names()
        if key.exchange == data.exchange.lower() and (key.symbol == symbols[0] or "--symbol" not in named)
    ]
    if fitting:
        is_fixed = "--timeframe" in named
        first = min(
            fitting,
            key=lambda key: (
                is_fixed and key.timeframe != timeframe,
                key.symbol != symbols[0],
                key.timeframe != timeframe,
            ),
        )
        symbols = symbols if first.symbol == symbols[0] else (first.symbol,)
        timeframe = timeframe if is_fixed else first.timeframe
    try:
        stored = store.series(data.exchange, symbols[0], timeframe)
    except BarsError:
        stored = None
    return _Chosen(data.exchange, symbols[0], symbols[1:], str(timeframe), stored)


def _other_bars(chosen: _Chosen, store: BarStore) -> list[str]:
    """Say how to get a config for what is stored, where the built-in market was taken."""
    if chosen.exchange != "synthetic" or not store.names():
        return []
    exchange, symbol, _ = store.names()[0]
    return [f"Bars of {exchange} {symbol} are stored here: `itb init --force --exchange {exchange}` writes for them."]


def _refuse_unwritten(config: Config) -> None:
    """Refuse options that would be lost, since only the market is written."""
    lost = [at for at, origin in config.origins.items() if origin.startswith("--") and at not in _WRITTEN]
    if lost:
        raise ConfigError(
            f"{config.origins[lost[0]]}: `itb init` writes exchange, symbols and timeframe only; set {dotted(lost[0])} "
            "in the file afterwards"
        )


def _write(file: Path, text: str, *, force: bool) -> None:
    draft = file.with_name(f".{file.name}.{os.getpid()}.draft")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        try:
            if force:
                draft.replace(file)
            else:
                file.hardlink_to(draft)  # fails where another process was faster
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error.strerror}; name another place") from None


def check_config(workspace: Workspace) -> Said:
    """Build everything that the config names once; raises :class:`itb.errors.ConfigError` with a line a mistake."""
    built = build_everything(workspace)
    config = workspace.config
    where = "built-in settings" if config.source is None else str(config.source)
    symbols = "the markets of [universe]" if config.universe.use else ", ".join(config.data.symbols)
    line = (
        f"{where}: every setting is fine: {config.data.exchange} {symbols} "
        f"{config.data.timeframe}, {built['features']} features, "
        f"{'score' if len(built['columns']) == 1 else 'scores'} {', '.join(built['columns'])}, {built['strategy']}."
    )
    return Said({"config": where, "hash": config_hash(config), "ok": True, **built}, (line,))


def build_everything(workspace: Workspace) -> dict[str, Any]:
    """Build every part of a config, the person's own code included, and say what came out.

    Raises :class:`itb.errors.ConfigError` with one line a mistake, or :class:`itb.errors.StrategyError`.
    """
    from itb.datafeeds.synthetic import SyntheticMarket
    from itb.runs.model import score_ranges, walk_forward
    from itb.runs.sources import refuse_absent_files
    from itb.runs.strategy import check_settings, choose_strategy

    config = workspace.config
    load_plugins(config)
    check_settings(config)
    refuse_absent_files(config)
    walk_forward(config)
    two_bars = SyntheticMarket(bars=2, timeframe=config.data.timeframe).bars()["BTC/USDT"]
    chosen = choose_strategy(workspace, two_bars)
    return {
        "features": len(parts.feature_set(config).names),
        "warmup": parts.feature_set(config).warmup,
        "columns": list(score_ranges(config)),
        "strategy": chosen.strategy.__name__,
        "reads_scores": chosen.reads_scores,
    }


def show_config(workspace: Workspace) -> Said:
    """Give every setting in force and who set it."""
    config = workspace.config
    load_plugins(config)
    tables, text = in_force(config)
    told = {
        "source": None if config.source is None else str(config.source),
        "settings": tables,
        "origins": {dotted(at): origin for at, origin in config.origins.items()},
    }
    return Said(told, (text.rstrip(),))


def schema(_workspace: Workspace) -> Said:
    """Give the JSON Schema of the config."""
    found = config_schema()
    return Said(found, (json.dumps(found, indent=1),))
