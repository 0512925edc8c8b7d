"""A backtest of the last days, for a chat: figures in a few lines and one picture."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from itb.charts.equity_picture import EquityPicture
from itb.charts.wording import number, percent
from itb.config import parts
from itb.market.timeframe import DAY_MS
from itb.runs.backtest import backtest
from itb.runs.market import load_bars
from itb.runs.model import walk_forward
from itb.runs.outcome import Outcome

if TYPE_CHECKING:
    from itb.runs.backtest import BacktestRun
    from itb.runs.workspace import Workspace


def short_backtest(workspace: Workspace, days: int) -> dict[str, Any]:
    """Backtest the last ``days`` and what its first models are trained on; give ``text`` and a ``picture``, in base64.

    It is a backtest as any other: it leaves a capsule, and its figures are entered into the register.
    """
    config = workspace.config
    first = load_bars(workspace, config.data.symbols[0])
    end = min(int(first.close_time[-1]), config.data.holdout_ms or int(first.close_time[-1]))
    lead = parts.feature_set(config).warmup + walk_forward(config).train_bars + config.walkforward.refit_delay_bars + 1
    begin = end - days * DAY_MS - lead * config.data.timeframe.ms
    made = backtest(replace(workspace, window=(begin, end)))
    picture = _account(made[0], config.notify.zone).png(config.notify.theme)
    return {"text": "\n".join(_words(one) for one in made), "picture": base64.b64encode(picture).decode()}


def _words(made: BacktestRun) -> str:
    told, figures = made.capsule.manifest, made.outcome.metrics
    return (
        f"{told['symbol']} {told['timeframe']}, {figures.duration_days:.0f} days: {percent(figures.total_return)} in "
        f"{figures.trades} trades, buy and hold {percent(made.outcome.hold.metrics.total_return)}, "
        f"Sharpe {number(figures.sharpe, 2)}, deepest drawdown {percent(figures.max_drawdown)}"
    )


def _account(made: BacktestRun, zone: str) -> EquityPicture:
    outcome, told = made.outcome, made.capsule.manifest
    start, result = outcome.result.start, outcome.result
    time = made.capsule.table("equity")["timestamp"].cast("int64").to_numpy()[start:]
    hold = outcome.hold.account.equity[start:] if isinstance(outcome, Outcome) else None
    currency = str(told.get("symbols", [told["symbol"]])[0]).partition("/")[2].partition(":")[0]
    title = f"{told['symbol']} {told['timeframe']}"
    note = f"backtest, {told['trading_from'][:10]} to {told['until'][:10]}"
    return EquityPicture(title, note, time, result.equity[start:], currency, hold, zone)
