"""Numbers as people read them; one way to write each kind everywhere."""

from __future__ import annotations

import math

DASH = "–"
_MINUS = "\u2212"


def percent(fraction: float, digits: int = 1, *, signed: bool = True) -> str:
    """Write a fraction as a percentage; NaN is a dash.

    >>> percent(0.1234), percent(-0.5, 0), percent(0.25, signed=False), percent(float("nan"))
    ('+12.3 %', '−50 %', '25.0 %', '–')
    """
    return f"{number(100 * fraction, digits, signed=signed)} %" if math.isfinite(fraction) else DASH


def number(value: float, digits: int = 2, *, signed: bool = False) -> str:
    """Write a number with thousands separated by commas; NaN is a dash, infinity its sign, and no zero is signed.

    >>> number(-1234.5, 1), number(float("inf")), number(2.0, 0, signed=True), number(-0.001)
    ('−1,234.5', '∞', '+2', '0.00')
    """
    if math.isnan(value):
        return DASH
    if math.isinf(value):
        return "∞" if value > 0 else f"{_MINUS}∞"
    text = f"{abs(value):,.{digits}f}"
    if not text.strip("0.,"):
        return text
    return (_MINUS if value < 0 else "+" if signed else "") + text


def significant(value: float, digits: int = 6) -> str:
    """Write a price or quantity of any size with ``digits`` significant digits and no exponent.

    >>> significant(97123.456), significant(0.0000123456789), significant(2.5)
    ('97,123.5', '0.0000123457', '2.5')
    """
    if value == 0 or not math.isfinite(value):
        return number(value, 0)
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = number(value, places)
    return text.rstrip("0").rstrip(".") if "." in text else text


def duration(milliseconds: float) -> str:
    """Write a length of time in its largest fitting unit.

    >>> duration(90 * 60_000), duration(86_400_000 * 400), duration(30 * 60_000)
    ('1.5 h', '400 d', '30 min')
    """
    if not math.isfinite(milliseconds):
        return DASH
    minutes = milliseconds / 60_000
    for unit, size, below in (("min", 1.0, 60.0), ("h", 60.0, 48.0 * 60)):
        if minutes < below:
            return f"{_short(minutes / size)} {unit}"
    return f"{_short(minutes / 1440)} d"


def _short(value: float) -> str:
    return number(value, 1).removesuffix(".0") if value < 100 else number(value, 0)
