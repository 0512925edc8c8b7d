"""Rules by which a market belongs to a universe, each a figure of what was known and a limit."""

from __future__ import annotations

from collections.abc import Mapping

from itb.datafeeds.universe_rules.idle_share import IdleShare
from itb.datafeeds.universe_rules.listing_age import ListingAge
from itb.datafeeds.universe_rules.quote_volume import QuoteVolume
from itb.datafeeds.universe_rules.rule import Rule, Seen
from itb.datafeeds.universe_rules.spread import Spread

RULES: Mapping[str, type[Rule]] = {
    "min_quote_volume": QuoteVolume,
    "min_age": ListingAge,
    "max_spread_bps": Spread,
    "max_idle_share": IdleShare,
}
"""Every rule by the key of ``[universe]`` that sets its limit."""

__all__ = ["RULES", "IdleShare", "ListingAge", "QuoteVolume", "Rule", "Seen", "Spread"]
