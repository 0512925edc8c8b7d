"""What a trade costs: fees and slippage, never free by default."""

from __future__ import annotations

from dataclasses import dataclass

BPS = 1e-4


@dataclass(frozen=True)
class Costs:
    """Fees and slippage of one side of a trade, in basis points (1 bp = 0.0001 of the notional).

    Slippage moves the price of market and stop orders against the order by
    ``slippage_bps + spread_bps / 2 + impact_bps x min(1, qty / bar volume)``; limit orders that rest do not slip.

    Parameters
    ----------
    taker_fee_bps
        Fee of market and stop orders, and of limit orders that the market is beyond when they arrive.
    maker_fee_bps
        Fee of limit orders that rest.
    fee_currency
        ``"quote"``, ``"base"`` (spot venues take a buy's fee from the coins bought, so the position is smaller; sells
        pay in quote) or the name of a third currency such as ``"BNB"`` (fees leave a separate account and are valued
        in quote when paid).
    slippage_bps
        What a market or stop order loses to the price in any case.
    spread_bps
        Distance between best bid and best ask, of which an order pays half.
    impact_bps
        What an order as large as the bar's volume loses on top; smaller orders in proportion.

    >>> Costs().one_way_bps
    15.0
    >>> Costs(taker_fee_bps=0, maker_fee_bps=0, slippage_bps=0).is_free
    True
    """

    taker_fee_bps: float = 10.0
    maker_fee_bps: float = 10.0
    fee_currency: str = "quote"
    slippage_bps: float = 5.0
    spread_bps: float = 0.0
    impact_bps: float = 0.0

    def __post_init__(self) -> None:
        for name in ("taker_fee_bps", "maker_fee_bps", "slippage_bps", "spread_bps", "impact_bps"):
            value = getattr(self, name)
            if not 0 <= value < 10_000:
                raise ValueError(f"{name} must be at least 0 and below 10000 basis points, was {value}")
        if not self.fee_currency:
            raise ValueError('fee_currency must be "quote", "base" or a currency name, was empty')

    @property
    def taker_fee(self) -> float:
        """Fee of market and stop orders as a fraction of the notional."""
        return self.taker_fee_bps * BPS

    @property
    def maker_fee(self) -> float:
        """Fee of limit orders as a fraction of the notional (maker rebates are not modelled)."""
        return self.maker_fee_bps * BPS

    @property
    def one_way_bps(self) -> float:
        """Taker fee + slippage of a small order, in basis points."""
        return self.taker_fee_bps + self.slippage_bps + self.spread_bps / 2

    @property
    def is_free(self) -> bool:
        """Whether trading costs nothing at all, which every report labels."""
        return self.maker_fee_bps + self.one_way_bps + self.impact_bps == 0

    def slippage(self, volume_share: float = 0.0) -> float:
        """Slippage as a fraction of the price, for an order of ``volume_share`` of the bar's volume."""
        return (self.slippage_bps + self.spread_bps / 2 + self.impact_bps * min(1.0, volume_share)) * BPS
