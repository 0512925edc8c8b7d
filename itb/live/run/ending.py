"""The end of an account's day: what was decided leaves, orders end as asked, then the threads, then the journal."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from itb.errors import ItbError, JournalError
from itb.live.run.redaction import shown

if TYPE_CHECKING:
    from itb.live.run.account import Account

_SETTLE_S = 10.0
_MOST_S = 30.0  # a venue that does not answer holds nobody up longer
_HOST_S = 5.0


async def end_account(account: Account, *, cancels: bool) -> None:
    """Bring an account to rest; with ``cancels`` what rests is cancelled, but never what protects a position."""
    dealer = account.dealer
    try:
        with contextlib.suppress(JournalError, TimeoutError):  # the next life goes on with what is left in doubt
            if cancels:
                for order in dealer.book.unsettled():
                    if not order.intent.reduces:
                        dealer.cancel(order.intent.key, "the bot stops")
            async with asyncio.timeout(_MOST_S):
                await _wind_down(account)
    finally:
        await asyncio.gather(*(asyncio.to_thread(lane.host.stop, _HOST_S) for lane in account.lanes))
        dealer.journal.close()


async def _wind_down(account: Account) -> None:
    """Settle what is leaving, for a while."""
    if not account.dealer.is_quiet:
        account.dealer.look_now()
    end = time.monotonic() + _SETTLE_S
    while time.monotonic() < end:
        await account.settle()
        if account.dealer.is_quiet or account.paper is not None:
            return
        await asyncio.sleep(0.05)


def cause_of(error: BaseException) -> BaseException:
    """Give the first fault inside a group of them.

    >>> cause_of(ExceptionGroup("tasks", [ExceptionGroup("more", [KeyError("a")]), ValueError("b")]))
    KeyError('a')
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def as_told(error: BaseException) -> ItbError:
    """Word what ended a bot in one line; what is said on purpose stays as it is."""
    cause = cause_of(error)
    if isinstance(cause, ItbError):
        return cause
    return ItbError(
        f"the bot was ended by {why(cause)}; what rests at the exchange stays there, "
        "and the same command goes on; please report it"
    )


def why(error: BaseException) -> str:
    """Name a fault and what it says."""
    return shown(f"{type(error).__name__}: {error}")
