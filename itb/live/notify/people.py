"""How figures are written for people: the template language of messages and its filters."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from itb.charts import wording

if TYPE_CHECKING:
    from jinja2 import Environment, Template

COINS = {"BTC": "₿", "ETH": "Ξ"}
CURRENCIES = {"USDT": "₮", "USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "BTC": "₿", "ETH": "Ξ"}
_MOST = 20_000  # characters of one rendered message


@dataclass(frozen=True)
class People:
    """Who reads: the time zone in which times are told.

    >>> People("Europe/Berlin").clock(1_709_251_200_000)
    '2024-03-01 01:00 CET'
    """

    zone: str = "UTC"
    _environment: list[Any] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f'zone must be a time zone such as "UTC" or "Europe/Berlin", was {self.zone!r}') from None

    def local(self, time: int) -> datetime:
        """Give UTC milliseconds as an aware time of the reader's zone."""
        return datetime.fromtimestamp(time / 1000, ZoneInfo(self.zone))

    def clock(self, time: int) -> str:
        """Write a moment with its zone."""
        return self.local(time).strftime("%Y-%m-%d %H:%M %Z")

    def day(self, time: int) -> str:
        """Write the day of a moment.

        >>> People().day(1_709_251_200_000)
        'Fri 1 Mar 2024'
        """
        local = self.local(time)
        return f"{local:%a} {local.day} {local:%b %Y}"

    def span(self, start: int, stop: int) -> str:
        """Write a stretch of time.

        >>> People().span(1_709_251_200_000, 1_709_337_600_000)
        '1 Mar 00:00 to 2 Mar 00:00 UTC'
        """
        first, last = self.local(start), self.local(stop)
        return f"{first.day} {first:%b %H:%M} to {last.day} {last:%b %H:%M %Z}"

    def template(self, source: str) -> Template:
        """Compile a template; raise ``ValueError`` where it is not one.

        >>> People().template("{{ price|grouped }} {{ change|percent }}").render(price=24033.4, change=0.012)
        '24,033 +1.2 %'
        """
        from jinja2 import TemplateSyntaxError

        if not self._environment:
            self._environment.append(_environment(self))
        environment: Environment = self._environment[0]
        try:
            return environment.from_string(source)
        except TemplateSyntaxError as error:
            raise ValueError(f"template, line {error.lineno}: {error.message}") from None


def render(template: Template, values: Mapping[str, Any]) -> str:
    """Fill a template in and tidy it: no blanks side by side, none at the ends of lines, no empty lines in a row.

    Values are escaped, so nothing in them can be taken for markup. Raises ``ValueError`` where it cannot be filled in.
    """
    from jinja2 import TemplateError

    try:
        text = template.render(**values)
    except (TemplateError, ArithmeticError, MemoryError, TypeError, ValueError, AttributeError, LookupError) as error:
        raise ValueError(f"template: {type(error).__name__}: {error}") from None
    if len(text) > _MOST:
        raise ValueError(f"template: gives {len(text):,} characters; expected at most {_MOST:,}")
    lines = [_tidy(re.sub(r"[ \t]+", " ", line).strip()) for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _tidy(line: str) -> str:
    """Take away blanks just inside the markup at a line's ends."""
    return re.sub(r" ((?:</\w+>)+)$", r"\1", re.sub(r"^((?:<\w+>)+) ", r"\1", line))


def coin(symbol: str) -> str:
    """Give the sign of a market's coin, where it has one.

    >>> coin("BTC/USDT"), coin("SOL/USDT")
    ('₿', 'SOL/USDT')
    """
    base, _, quote = symbol.partition("/")
    return COINS.get(base, symbol) if quote.startswith("USDT") else symbol


def quote_sign(symbol: str) -> str:
    """Give the sign of a market's quote currency.

    >>> quote_sign("BTC/USDT"), quote_sign("BTC/USDT:USDT"), quote_sign("SOL/BNB")
    ('₮', '₮', ' BNB')
    """
    return currency_sign(symbol.partition("/")[2].partition(":")[0])


def currency_sign(currency: str) -> str:
    """Give what is written behind an amount.

    >>> currency_sign("EUR"), currency_sign("BNB")
    ('€', ' BNB')
    """
    return CURRENCIES.get(currency, f" {currency}" if currency else "")


def grouped(value: float, digits: int = 0, mark: str = ",") -> str:
    """Write a number with a mark between thousands; where the mark is a dot, the decimal sign is a comma.

    >>> grouped(24033.4), grouped(24518, mark="."), grouped(1234.5, 1, ".")
    ('24,033', '24.518', '1.234,5')
    """
    if not math.isfinite(value):
        return wording.DASH
    text = f"{value:,.{digits}f}"
    whole, _, decimals = text.partition(".")
    point = "," if mark == "." else "."
    return whole.replace(",", mark) + (point + decimals if decimals else "")


def signed(value: float, digits: int = 2) -> str:
    """Write a number with its sign, in plain ASCII; NaN is a dash.

    >>> signed(0.344), signed(-0.26)
    ('+0.34', '-0.26')
    """
    return f"{value:+.{digits}f}" if math.isfinite(value) else wording.DASH


def money(value: float, currency: str = "", digits: int = 2, *, signed: bool = False) -> str:
    """Write an amount with the sign of its currency.

    >>> money(1234.5, "USDT"), money(-3.0, "EUR", signed=True)
    ('1,234.50₮', '−3.00€')
    """
    return wording.number(value, digits, signed=signed) + currency_sign(currency)


def _environment(people: People) -> Environment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "grouped": grouped,
        "signed": signed,
        "money": money,
        "number": wording.number,
        "percent": wording.percent,
        "price": wording.significant,
        "lasting": wording.duration,
        "coin": coin,
        "clock": people.clock,
        "day": people.day,
    }
    return environment
