"""The sealed hold-out: bars that research does not look at, and an honest count of who did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from itb.errors import RunError
from itb.ledger.register import Opening
from itb.market.bars import utc

if TYPE_CHECKING:
    from itb.ledger.register import Register
    from itb.market.bars import Bars


@dataclass(frozen=True)
class Holdout:
    """Where research on ``market`` stops: bars that are not complete by ``from_ms`` (UTC milliseconds) are sealed.

    ``from_ms`` is ``None`` where no hold-out was fixed. ``is_included`` says that this run, ``run_id``, may look beyond
    it; ``seen_by`` names the runs, this one among them, that did so or were allowed to, in order.
    """

    market: str
    from_ms: int | None = None
    is_included: bool = False
    seen_by: tuple[str, ...] = ()
    run_id: str = ""

    def research(self, bars: Bars) -> Bars:
        """Give the bars that this run may look at.

        >>> from itb.market.bars import Bars
        >>> prices = dict.fromkeys(("open", "high", "low", "close", "volume"), [1.0, 1.0, 1.0])
        >>> bars = Bars.of("BTC/USDT", "1m", [0, 60_000, 120_000], **prices)
        >>> len(Holdout("BTC", from_ms=120_000).research(bars)), len(Holdout("BTC").research(bars))
        (2, 3)
        """
        if self.from_ms is None or self.is_included:
            return bars
        return bars.head(int(np.searchsorted(bars.close_time, self.from_ms, side="right")))

    def is_seen_in(self, to_ms: int) -> bool:
        """Whether a range that ends before ``to_ms`` (UTC milliseconds) reaches into the hold-out."""
        return self.from_ms is not None and to_ms > self.from_ms

    @property
    def note(self) -> str:
        """One sentence for the report."""
        if self.from_ms is None:
            return f"No hold-out is fixed for {self.market}: nothing here was kept for a final test."
        which = f"hold-out of {self.market} from {utc(self.from_ms)}"
        if not self.seen_by:
            return f"The {which} is sealed: no run has looked at it."
        if self.seen_by == (self.run_id,):
            return f"The {which} is seen by this run, the first: from now on it is research data like any other."
        runs = "1 run" if len(self.seen_by) == 1 else f"{len(self.seen_by)} runs"
        return f"The {which} has been seen, by {runs} (first {self.seen_by[0]}): figures on it are no first look."


def enter_holdout(
    register: Register,
    market: str,
    from_ms: int | None,
    *,
    include: bool,
    time: int,
    run_id: str,
    command: str,
) -> Holdout:
    """Fix the hold-out of ``market`` at ``from_ms`` for ever, or find it fixed, and say where this run stops.

    Once fixed, a hold-out holds for every run on that market, those whose config names none included. ``include``
    lets this run in, which is recorded here, before it reads a bar. Raises :class:`itb.errors.RunError` where
    ``from_ms`` is another date than the one that was fixed.

    >>> import tempfile, pathlib
    >>> from itb.ledger.register import Register
    >>> register = Register(pathlib.Path(tempfile.mkdtemp()) / "register.sqlite")
    >>> enter_holdout(register, "BTC", 60_000, include=False, time=1, run_id="r1", command="train").note
    'The hold-out of BTC from 1970-01-01 00:01 UTC is sealed: no run has looked at it.'
    >>> enter_holdout(register, "BTC", None, include=True, time=2, run_id="r2", command="backtest").seen_by
    ('r2',)
    """
    if from_ms is None:
        seal = register.sealed(market)
        if seal is None:
            return Holdout(market)
    else:
        seal = register.seal(market, from_ms, time=time, run_id=run_id)
        if seal.from_ms != from_ms:
            date = utc(seal.from_ms).removesuffix(" UTC").removesuffix(" 00:00")
            raise RunError(
                f"{register.file}: data.holdout_from is {utc(from_ms)}, but the hold-out of {market} was fixed at "
                f"{utc(seal.from_ms)} by run {seal.run_id} on {utc(seal.time)}, and a hold-out that moves proves "
                f'nothing. Set data.holdout_from = "{date}", or look beyond it with '
                f"--include-holdout, which is recorded for ever."
            )
    if include:
        register.add_opening(Opening(market, seal.from_ms, time, run_id, command))
    let_in = [(opening.time, opening.run_id) for opening in register.holdout_openings(market)]
    looked = [(look.time, look.run_id) for look in register.looks(market, from_ms=seal.from_ms)]
    seen_by = tuple(dict.fromkeys(run for _, run in sorted(looked + let_in)))
    return Holdout(market, seal.from_ms, include, seen_by, run_id)
