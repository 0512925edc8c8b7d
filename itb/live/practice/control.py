"""What only a practice exchange has: its clock, lock-step, money from nowhere, the record of faults."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from itb.live.practice import refusals
from itb.live.practice.refusals import RefusedError
from itb.live.practice.wording import number

if TYPE_CHECKING:
    from itb.live.practice.exchange import Exchange


def control(exchange: Exchange, method: str, name: str, sent: dict[str, Any]) -> dict[str, Any]:
    """Answer ``/practice/<name>``.

    ``GET clock``: market time, speed, what lock-step waits for, whose process it is. ``POST begin``: let time run,
    where it was held. ``POST answered``: a symbol's newest final bar was read and answered. ``POST step``: in
    lock-step, go on whoever has answered (``bars`` times). ``GET faults``: what was injected.
    ``GET totals``: all money. ``POST transfer``: a deposit, or a withdrawal where negative.
    """
    table = {
        ("GET", "clock"): _clock,
        ("POST", "begin"): _begin,
        ("POST", "answered"): _answered,
        ("POST", "step"): _step,
        ("GET", "faults"): _faults,
        ("GET", "totals"): _totals,
        ("POST", "transfer"): _transfer,
    }
    if (method, name) not in table:
        raise RefusedError(refusals.UNKNOWN_PATH)
    exchange.catch_up()
    return table[method, name](exchange, sent)


def _clock(exchange: Exchange, _sent: dict[str, Any]) -> dict[str, Any]:
    bars = {name: int(tape.bars.open_time[tape.closed - 1]) for name, tape in exchange.venue.tapes.items()}
    return {
        "time": exchange.venue.now,
        "stop": exchange.stop_ms,
        "over": exchange.is_over,
        "speed": exchange.speed,
        "final": bars,
        "waiting": {} if exchange.steps is None else exchange.steps.waiting,
        "process": os.getpid(),
    }


def _begin(exchange: Exchange, sent: dict[str, Any]) -> dict[str, Any]:
    exchange.begin()
    return _clock(exchange, sent)


def _answered(exchange: Exchange, sent: dict[str, Any]) -> dict[str, Any]:
    if exchange.steps is None:
        raise RefusedError(refusals.Words(-1102, "there is nothing to answer: the speed is not lockstep", 409))
    exchange.go_to(exchange.steps.answer(str(sent["symbol"]), int(sent["open_time"])))
    return _clock(exchange, sent)


def _step(exchange: Exchange, sent: dict[str, Any]) -> dict[str, Any]:
    if exchange.steps is None:
        raise RefusedError(refusals.Words(-1102, "there is no step to take: the speed is not lockstep", 409))
    for _ in range(int(sent.get("bars", 1))):
        if exchange.is_over:
            break
        exchange.go_to(exchange.steps.step())
    return _clock(exchange, sent)


def _faults(exchange: Exchange, _sent: dict[str, Any]) -> dict[str, Any]:
    return {"seed": exchange.faults.seed, "injected": [one._asdict() for one in exchange.faults.log]}


def _totals(exchange: Exchange, _sent: dict[str, Any]) -> dict[str, Any]:
    return {asset: number(amount) for asset, amount in exchange.venue.wallet.totals().items()}


def _transfer(exchange: Exchange, sent: dict[str, Any]) -> dict[str, Any]:
    asset, amount = str(sent["asset"]), Decimal(str(sent["amount"]))
    try:
        exchange.venue.transfer(asset, amount)
    except ArithmeticError as error:
        raise RefusedError(refusals.NO_MONEY) from error
    exchange.streams.flush()
    return _totals(exchange, sent)
