"""A length of time, or a number of bars: how settings say how long."""

from __future__ import annotations

from dataclasses import dataclass

from itb.market.timeframe import DAY_MS, MINUTE_MS, Timeframe

_UNITS = {"m": MINUTE_MS, "h": 60 * MINUTE_MS, "d": DAY_MS, "w": 7 * DAY_MS}


@dataclass(frozen=True)
class Span:
    """A length of time, or a number of bars: exactly one of ``ms`` and ``count`` is set.

    >>> Span.parse("180d").bars(Timeframe.parse("1h"))
    4320
    >>> Span.parse(500).bars(Timeframe.parse("1h"))
    500
    """

    ms: int | None = None
    count: int | None = None

    @classmethod
    def parse(cls, value: object) -> Span:
        """Read ``"180d"`` (m, h, d, w) or a number of bars; raise ``ValueError`` for anything else."""
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return cls(count=value)
        if isinstance(value, str) and value[-1:] in _UNITS and value[:-1].isdecimal() and int(value[:-1]) > 0:
            return cls(ms=int(value[:-1]) * _UNITS[value[-1]])
        raise ValueError(f'expected a length such as "180d", "12h" or a number of bars above 0, was {value!r}')

    def bars(self, timeframe: Timeframe) -> int:
        """How many bars of ``timeframe`` cover this length (rounded up)."""
        if self.count is not None:
            return self.count
        assert self.ms is not None
        return -(-self.ms // timeframe.ms)

    def length_ms(self, bar_ms: int) -> int:
        """How long this is, where a bar takes ``bar_ms``.

        >>> Span.parse(3).length_ms(60_000), Span.parse("1h").length_ms(60_000)
        (180000, 3600000)
        """
        return self.count * bar_ms if self.count is not None else self.ms or 0

    def plain(self) -> str | int:
        """Give the value as the config file writes it.

        >>> Span.parse("48h").plain()
        '2d'
        """
        if self.count is not None:
            return self.count
        assert self.ms is not None
        unit = next(u for u in ("d", "h", "m") if self.ms % _UNITS[u] == 0)
        return f"{self.ms // _UNITS[unit]}{unit}"
