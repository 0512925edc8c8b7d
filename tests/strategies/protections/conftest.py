"""Random trades, and a slow way to the locks that they cause."""

from types import SimpleNamespace

import pytest
from hypothesis import strategies as st

from itb.ledger.trades import Trade
from itb.strategies.protections import Cooldown, LowProfitSymbol, MaxDrawdown, StopLossGuard

HOUR = 3_600_000


def ended(end_hour, return_=0.01, reason="signal", side="long", symbol="BTC/USDT"):
    """Give a trade that ended in the bar of that hour."""
    end = end_hour * HOUR
    return Trade(
        symbol, side, 0, end - HOUR, 1, end, 1.0, 100.0, 100.0, 0.0, return_ * 100, return_, 1, "entry", reason
    )


@st.composite
def histories(draw):
    """Trades of two symbols, oldest first, several of them in the same bar."""
    rng = draw(st.randoms(use_true_random=False))
    hours = sorted(rng.choices(range(30), k=draw(st.integers(0, 14))))
    return [
        ended(
            hour,
            rng.choice([-0.08, -0.03, -0.01, 0.0, 0.02, 0.05]),
            rng.choice(["stop", "trailing", "stop", "signal", "target"]),
            rng.choice(["long", "short"]),
            rng.choice(["BTC/USDT", "ETH/USDT"]),
        )
        for hour in hours
    ]


def forbidden(rule, trades, hour, symbol, side):
    """Whether a lock that some trade caused by ending is on: each is looked at with all that ended until then."""
    return any(
        _is_locked(rule, trades[: place + 1], hour, symbol, side)
        for place, trade in enumerate(trades)
        if trade.exit_time <= hour * HOUR
    )


def _is_locked(rule, known, hour, symbol, side):
    last = known[-1]
    if isinstance(rule, Cooldown):
        return symbol == last.symbol and hour < last.exit_time // HOUR + rule.stop_duration
    within = [trade for trade in known if trade.exit_time > last.exit_time - rule.lookback * HOUR]
    if isinstance(rule, LowProfitSymbol) or getattr(rule, "only_per_symbol", False):
        if symbol != last.symbol:
            return False
        within = [trade for trade in within if trade.symbol == symbol]
    if getattr(rule, "only_per_side", False):
        if side != last.side:
            return False
        within = [trade for trade in within if trade.side == side]
    if isinstance(rule, StopLossGuard):
        stopped = [trade for trade in within if trade.exit_reason in ("stop", "trailing")]
        within, is_bad = [trade for trade in stopped if trade.return_ < rule.required_profit], True
    elif isinstance(rule, LowProfitSymbol):
        is_bad = round(sum(trade.return_ for trade in within), 12) < rule.required_profit
    else:
        sums = [sum(trade.return_ for trade in within[:n]) for n in range(len(within) + 1)]
        falls = [before - after for n, after in enumerate(sums) for before in sums[:n]]
        is_bad = round(max(falls, default=0.0), 12) > rule.max_allowed_drawdown
    if not is_bad or len(within) < rule.trade_limit:
        return False
    return hour < max(trade.exit_time for trade in within) // HOUR + rule.stop_duration


_LENGTHS, _LIMITS, _FLAGS = st.integers(1, 12), st.integers(1, 4), st.booleans()
_PROFITS = st.sampled_from([-0.04, 0.0, 0.03])
RULES = {
    "cooldown": st.builds(Cooldown, _LENGTHS),
    "stop_loss_guard": st.builds(StopLossGuard, _LENGTHS, _LIMITS, _LENGTHS, _PROFITS, _FLAGS, _FLAGS),
    "low_profit_symbol": st.builds(LowProfitSymbol, _LENGTHS, _LIMITS, _LENGTHS, _PROFITS, _FLAGS),
    "max_drawdown": st.builds(MaxDrawdown, _LENGTHS, _LIMITS, _LENGTHS, st.sampled_from([0.0, 0.03, 0.1])),
}


@pytest.fixture(scope="session")
def slow():
    """Random rules and trades, and which entries they forbid, found the slow way."""
    return SimpleNamespace(
        HOUR=HOUR,
        ended=ended,
        forbidden=forbidden,
        histories=histories(),
        rules=RULES,
        any_rule=st.one_of(*RULES.values()),
        entries=[(symbol, side) for symbol in ("BTC/USDT", "ETH/USDT") for side in ("long", "short")],
    )
