"""Protections: forbid entries for a while after trades that went wrong, the same in a backtest and live."""

from __future__ import annotations

from collections.abc import Mapping

from itb.strategies.protections.cooldown import Cooldown
from itb.strategies.protections.low_profit import LowProfitSymbol
from itb.strategies.protections.max_drawdown import MaxDrawdown
from itb.strategies.protections.protection import EntryProtection
from itb.strategies.protections.stop_loss_guard import StopLossGuard

PROTECTIONS: Mapping[str, type[EntryProtection]] = {
    kind.name: kind for kind in (Cooldown, StopLossGuard, LowProfitSymbol, MaxDrawdown)
}
"""Every protection by the name that ``[[protections]]`` takes."""

__all__ = ["PROTECTIONS", "Cooldown", "EntryProtection", "LowProfitSymbol", "MaxDrawdown", "StopLossGuard"]
