"""What itb knows about every TA-Lib function beyond TA-Lib's own metadata: memory, kind of output, cumulation.

Finite functions are decided by TA-Lib's ``lookback``. Recursive ones forget slowly: after 30 periods the weight of
what came before is below 1e-12 (measured: 8 to 28 periods leave 1e-9). Adaptive and path-dependent ones (KAMA, MAMA,
HT_*, SAR, SUPERTREND) have the warm-ups that 1,200 windows of synthetic and real bars needed, with a margin of 1.5 or
more; HT_DCPHASE and HT_SINE magnify rounding, to 2e-9 of their scale now and then on one-minute bars of a high price.
Cumulative ones never forget, so their level depends on where the history starts: only their change over a window is
offered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Any

Parameters = Mapping[str, float]

# fmt: off
RECURSIVE = frozenset((
    "ADOSC", "ADX", "ADXR", "APO", "ATR", "CMO", "CVI", "DEMA", "DX", "EFI", "EMA", "ERI", "KC", "KDJ", "MACD",
    "MACDFIX", "MASSI", "MINUS_DI", "MINUS_DM", "NATR", "PLUS_DI", "PLUS_DM", "PPO", "PVO", "RMA", "RSI", "RVI",
    "SMI", "STOCHRSI", "SUPERTREND", "T3", "TEMA", "TRIX", "TSI", "ZLEMA",
))
# fmt: on
SUMS = frozenset({"OBV", "AD", "PVT", "WAD", "CUMSUM"})
PRODUCTS = frozenset({"NVI", "PVI"})
CUMULATIVE = SUMS | PRODUCTS
# fmt: off
_DISTANCES = frozenset((
    "AC", "ADR", "AO", "APO", "ATR", "AVGDEV", "DPO", "ERI", "HT_PHASOR", "LINEARREG_SLOPE", "MACD", "MACDEXT",
    "MACDFIX", "MINUS_DM", "MOM", "PLUS_DM", "QSTICK", "STDDEV", "SUB", "TRANGE", "WAD",
))
# fmt: on
_OVERFLOWS = frozenset({"EXP", "COSH", "SINH"})
_SETTLES = frozenset({"SAR", "SAREXT", "SUPERTREND", "ADOSC"})  # path-dependent, but not for long
_PURE_OUTPUTS = frozenset({("SUPERTREND", "trend")})
_RECURSIVE_AVERAGES = frozenset({1, 3, 4, 8, 11, 12, 13})  # EMA, DEMA, TEMA, T3, the function's own, ZLEMA, RMA
_KAMA_AVERAGE, _MAMA_AVERAGE = 6, 7
_HILBERT = 600
_PERIODS = 30


@dataclass(frozen=True)
class TalibFunction:
    """One function's metadata: free inputs (with their defaults), fixed bar columns, parameters, outputs, memory."""

    name: str
    free_inputs: tuple[str, ...]
    fixed_inputs: tuple[str, ...]
    parameters: Parameters
    outputs: tuple[str, ...]
    keeps_scale: bool
    may_be_infinite: bool
    is_recursive: bool
    never_forgets: bool

    @property
    def has_window(self) -> bool:
        """Whether ``timeperiod`` is one of the parameters."""
        return "timeperiod" in self.parameters

    def kind(self, output: str) -> str:
        """Say what unit an output has: ``level`` and ``distance`` in that of the input, ``square``, else ``pure``."""
        if (self.name, output) in _PURE_OUTPUTS:
            return "pure"
        if self.name in _DISTANCES:
            return "distance"
        if self.name == "VAR":
            return "square"
        return "level" if self.keeps_scale else "pure"


def talib_names() -> tuple[str, ...]:
    """Give the names of all functions of the installed TA-Lib."""
    return tuple(import_module("talib").get_functions())


@cache
def talib_function(name: str) -> TalibFunction:
    """Look a function up; raise ``ValueError`` for a name that TA-Lib does not have."""
    from difflib import get_close_matches

    if name not in talib_names():
        close = get_close_matches(name.upper(), talib_names(), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else "; see https://ta-lib.org/functions"
        raise ValueError(f"TA-Lib has no function {name!r}{hint}")
    info = _abstract(name).info
    flags = info["function_flags"] or []
    free: list[str] = []
    fixed: list[str] = []
    for value in info["input_names"].values():
        (free.append if isinstance(value, str) else fixed.extend)(value)
    return TalibFunction(
        name,
        tuple(free),
        tuple(fixed),
        MappingProxyType(dict(info["parameters"])),
        tuple(info["output_names"]),
        "Output scale same as input" in flags,
        "Output can be NaN or infinite" in flags or name in _OVERFLOWS,
        name in RECURSIVE or "Function has an unstable period" in flags,
        name in CUMULATIVE or ("Output is path-dependent" in flags and name not in _SETTLES),
    )


def talib_lookback(name: str, parameters: Parameters) -> int:
    """Ask TA-Lib how many bars lie before the first output; raise ``ValueError`` if it refuses the parameters."""
    function = _abstract(name)
    function.parameters = dict(parameters)
    lookback = int(function.lookback)
    if lookback < 0:
        given = ", ".join(f"{key} = {value}" for key, value in parameters.items())
        raise ValueError(f"{name}: TA-Lib refuses the parameters {given}; see https://ta-lib.org/functions for ranges")
    return lookback


def talib_warmup(name: str, parameters: Parameters) -> int:
    """Give how many earlier bars decide a function's value (see the module's text); all parameters must be given.

    >>> talib_warmup("SMA", {"timeperiod": 20}), talib_warmup("RSI", {"timeperiod": 14})
    (19, 434)
    """
    lookback = talib_lookback(name, parameters)
    special = _SPECIAL.get(name)
    if special is not None:
        return lookback + special(parameters)
    longest = _longest(parameters)
    averages = {int(value) for key, value in parameters.items() if key.endswith("matype")}
    slow = _PERIODS * longest if talib_function(name).is_recursive or averages & _RECURSIVE_AVERAGES else 0
    if _KAMA_AVERAGE in averages:
        slow = max(slow, _kama(longest))
    if _MAMA_AVERAGE in averages:
        slow = max(slow, _HILBERT)
    return lookback + slow


def _abstract(name: str) -> Any:
    return import_module("talib.abstract").Function(name)  # TA-Lib's own type stubs leave Function out


def _longest(parameters: Parameters) -> int:
    return int(max((value for key, value in parameters.items() if "period" in key), default=1))


def _kama(period: int) -> int:
    """Count the bars in which KAMA forgets on a random walk, whose efficiency ratio is about 0.7 / sqrt(period)."""
    efficiency = 0.7 / math.sqrt(period)
    return math.ceil(30 / (efficiency * (2 / 3 - 2 / 31) + 2 / 31) ** 2)


def _sar(parameters: Parameters) -> int:
    steps = [value for key, value in parameters.items() if key.startswith("acceleration") and value > 0]
    return 200 + math.ceil(5 / max(min(steps, default=0.02), 0.001))


_SPECIAL: dict[str, Callable[[Parameters], int]] = {
    "KAMA": lambda parameters: _kama(_longest(parameters)),
    "MAMA": lambda parameters: max(_HILBERT, math.ceil(10 / max(parameters["slowlimit"], 0.01))),
    "SAR": _sar,
    "SAREXT": _sar,
    "SUPERTREND": lambda parameters: 300 + _PERIODS * _longest(parameters),
    "MACDFIX": lambda parameters: _PERIODS * max(26, _longest(parameters)),
    "HA": lambda _: 60,
    **dict.fromkeys(
        ("HT_DCPERIOD", "HT_DCPHASE", "HT_PHASOR", "HT_SINE", "HT_TRENDMODE", "HT_TRENDLINE"), lambda _: _HILBERT
    ),
}
