"""A journal that cannot be written is a trouble of its account; it ends neither the bot nor the others."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from itb.errors import JournalError
from itb.live.bars.gate import StartGate
from itb.live.run.engine import Engine
from itb.live.run.health import HealthBoard


class Dealer:
    """One whose disk is full."""

    touched = 0

    def touch(self, *_: Any) -> None:
        self.touched += 1
        raise JournalError("journal: cannot be written")


def test_a_target_that_cannot_be_journaled_does_not_end_the_bot() -> None:
    async def settle() -> list[int]:
        accounts: Any = [
            SimpleNamespace(dealer=Dealer(), lanes=[], paper=None, is_stepped=False, is_shadow=False) for _ in range(2)
        ]
        window: Any = type("Window", (), {"close": [100.0], "__len__": lambda _self: 1})()
        engine = Engine({"BTC/USDT": window}, {}, accounts, StartGate(), HealthBoard(lambda: 0))
        await engine._settle()
        return [account.dealer.touched for account in accounts]

    assert asyncio.run(settle()) == [1, 1]
