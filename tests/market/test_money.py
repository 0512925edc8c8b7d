import math
from typing import Any

import pytest

from itb.market.costs import Costs
from itb.market.fills import Fill


class TestCosts:
    def test_trading_is_never_free_by_default(self) -> None:
        costs = Costs()
        assert not costs.is_free
        assert (costs.taker_fee, costs.slippage()) == (0.001, 0.0005)

    @pytest.mark.parametrize("name", ["taker_fee_bps", "maker_fee_bps", "slippage_bps", "spread_bps", "impact_bps"])
    def test_a_single_cost_above_zero_is_not_free(self, name: str) -> None:
        free: Any = {"taker_fee_bps": 0.0, "maker_fee_bps": 0.0, "slippage_bps": 0.0}
        assert Costs(**free).is_free
        assert not Costs(**free | {name: 0.1}).is_free

    def test_slippage_adds_half_the_spread_and_grows_with_the_share_of_volume(self) -> None:
        costs = Costs(slippage_bps=5, spread_bps=4, impact_bps=100)
        assert costs.slippage(0.25) == pytest.approx(0.0032)
        assert costs.one_way_bps == 17

    def test_the_share_of_volume_counts_up_to_all_of_it(self) -> None:
        costs = Costs(impact_bps=100)
        assert costs.slippage(7.0) == costs.slippage(math.inf) == costs.slippage(1.0)

    @pytest.mark.parametrize("value", [-0.1, 10_000, math.nan, math.inf])
    def test_costs_outside_their_range_are_refused(self, value: float) -> None:
        with pytest.raises(ValueError, match="slippage_bps must be at least 0"):
            Costs(slippage_bps=value)

    def test_an_empty_fee_currency_is_refused(self) -> None:
        with pytest.raises(ValueError, match="fee_currency"):
            Costs(fee_currency="")


class TestFills:
    def fill(self, qty: float, fee: float, currency: str) -> Fill:
        return Fill(1, 0, 1, "BTC/USDT", qty, 100.0, fee, fee, currency)

    def test_a_fee_in_quote_leaves_cash(self) -> None:
        buy = self.fill(2.0, 0.2, "quote")
        assert (buy.position_change, buy.cash_change) == (2.0, -200.2)

    def test_a_fee_in_base_makes_the_position_smaller(self) -> None:
        buy = self.fill(2.0, 0.002, "base")
        assert (buy.position_change, buy.cash_change) == (1.998, -200.0)

    def test_a_fee_in_a_third_currency_leaves_both_alone(self) -> None:
        sell = self.fill(-2.0, 0.001, "BNB")
        assert (sell.position_change, sell.cash_change) == (-2.0, 200.0)
