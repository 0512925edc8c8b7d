"""Bars as they close: the exchange's clock, when a bar is final, all symbols of a timestamp together."""
