from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from itb.market.instrument import QUOTES, Instrument, canonical_symbol

STEPS = [Decimal(text) for text in ("1e-8", "0.00001", "0.001", "0.025", "0.1", "0.3", "1", "5", "10", "1000")]
steps = st.sampled_from(STEPS)
amounts = st.decimals(0, 10**30, places=12, allow_nan=False)
names = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=8)


class TestSymbols:
    @given(base=names, quote=names, settle=st.none() | names, separator=st.sampled_from("/-_"))
    def test_every_spelling_with_separators_leads_to_one_name(
        self, base: str, quote: str, settle: str | None, separator: str
    ) -> None:
        name = f"{base}/{quote}" + (f":{settle}" if settle else "")
        spelled = separator.join(part for part in (base, quote, settle) if part)
        assert canonical_symbol(name) == name
        assert canonical_symbol(f" {spelled.lower()} ") == name

    @pytest.mark.parametrize("quote", QUOTES)
    def test_names_without_a_separator_are_split_at_the_quote(self, quote: str) -> None:
        assert canonical_symbol(f"ada{quote}") == f"ADA/{quote}"

    @pytest.mark.parametrize("text", ["DOTUSD", "BNBUSD", "BATUSD"])
    def test_a_name_with_two_readings_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"could be (DOT|BNB|BAT)/USD or .*; write it as"):
            canonical_symbol(text)

    @pytest.mark.parametrize("text", ["", "/", "USDT", "BTC", "BTC$USDT", "BTC/USDT:USDT-240329", "B TC/USDT"])
    def test_what_is_no_symbol_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="symbol"):
            canonical_symbol(text)

    def test_base_quote_and_kind_are_read_from_the_symbol(self) -> None:
        spot, perpetual = Instrument("BTC/USDT"), Instrument("ETH/USD:ETH")
        assert (spot.base, spot.quote, spot.is_perpetual) == ("BTC", "USDT", False)
        assert (perpetual.base, perpetual.quote, perpetual.is_perpetual) == ("ETH", "USD", True)


class TestRounding:
    def test_a_quantity_is_rounded_down_as_intelligent_trading_bot_tests_it(self) -> None:
        assert Instrument("BTC/USDT", step=Decimal("0.000001")).quantise(Decimal("0.01185454")) == Decimal("0.011854")

    @given(qty=amounts, step=steps)
    @example(qty=Decimal("0." + "9" * 29), step=Decimal(1))
    @example(qty=Decimal("99999999999999999999.999999999"), step=Decimal("1e-8"))
    def test_a_quantised_quantity_never_exceeds_what_was_asked(self, qty: Any, step: Decimal) -> None:
        quantised = Instrument("BTC/USDT", step=step).quantise(qty)
        assert 0 <= Fraction(qty) - Fraction(quantised) < Fraction(step)
        assert (Fraction(quantised) / Fraction(step)).denominator == 1

    @given(price=amounts, tick=steps, is_buy=st.booleans())
    def test_a_quantised_price_is_never_worse(self, price: Any, tick: Decimal, is_buy: bool) -> None:
        quantised = Instrument("BTC/USDT", tick=tick).quantise_price(price, is_buy=is_buy)
        improvement = Fraction(price) - Fraction(quantised)
        assert 0 <= (improvement if is_buy else -improvement) < Fraction(tick)

    @given(qty=st.floats(0, 1e6), step=steps)
    @example(qty=0.3, step=Decimal("0.1"))
    @example(qty=0.29999999999999993, step=Decimal("0.1"))
    def test_research_quantities_agree_with_decimal(self, qty: Any, step: Decimal) -> None:
        instrument = Instrument("BTC/USDT", step=step)
        floored = instrument.floor_qty(qty)
        assert floored == instrument.floor_qty(floored) == float(instrument.quantise(Decimal(repr(qty))))

    @given(qty=st.floats(0, 1e15), step=steps)
    def test_a_research_quantity_is_never_above_what_was_asked(self, qty: Any, step: Decimal) -> None:
        floored = Instrument("BTC/USDT", step=step).floor_qty(qty)
        assert 0 <= qty - floored <= float(step) * (1 + 1e-9) + 1e-15 * qty


class TestRefusals:
    instrument = Instrument("BTC/USDT", min_qty=Decimal("0.001"), min_notional=Decimal(10))

    @pytest.mark.parametrize(
        ("qty", "price", "refusal"),
        [
            ("0.001", "10000", None),
            ("0.00099", "20000", "quantity 0.00099 BTC is below the minimum 0.001 BTC"),
            ("0.001", "9999.99", "notional 9.99999 USDT is below the minimum 10 USDT"),
            ("0", "20000", "quantity 0 BTC is below the minimum 0.001 BTC"),
        ],
    )
    def test_orders_below_the_minimum_are_refused_with_the_reason(
        self, qty: str, price: str, refusal: str | None
    ) -> None:
        assert self.instrument.refusal(Decimal(qty), Decimal(price)) == refusal

    def test_nothing_is_no_order_even_without_minima(self) -> None:
        free = Instrument("BTC/USDT", min_qty=Decimal(0), min_notional=Decimal(0))
        assert free.refusal(Decimal(0), Decimal(1)) is not None

    @pytest.mark.parametrize(
        "wrong", [{"tick": Decimal(0)}, {"step": Decimal(-1)}, {"min_qty": Decimal(-1)}, {"min_notional": Decimal(-1)}]
    )
    def test_impossible_rules_are_refused(self, wrong: Any) -> None:
        with pytest.raises(ValueError, match="tick and step must be above 0"):
            Instrument("BTC/USDT", **wrong)

    def test_another_spelling_of_the_symbol_is_refused(self) -> None:
        with pytest.raises(ValueError, match="must be written 'BTC/USDT'"):
            Instrument("btcusdt")
