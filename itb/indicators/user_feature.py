"""A plain function of bars, made into a feature that a config can name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import field, fields, make_dataclass
from typing import Any, get_type_hints

import numpy as np

from itb.indicators.feature import FloatMatrix
from itb.market.bars import Bars

Function = Callable[..., object]


class UserFeature:
    """What :func:`user_feature` makes of a function; the function's parameters are its fields."""

    function: Function
    told_warmup: int | Callable[..., int]
    told_names: tuple[str, ...]

    @property
    def settings(self) -> dict[str, Any]:
        """The function's parameters."""
        own: Any = self
        return {one.name: getattr(self, one.name) for one in fields(own)}

    @property
    def names(self) -> tuple[str, ...]:
        """The function's name and its parameters, joined by underscores, and each of its own names if it has any."""
        stem = "_".join([type(self).__name__, *map(_shown, self.settings.values())])
        return tuple(f"{stem}_{name}" for name in self.told_names) or (stem,)

    @property
    def warmup(self) -> int:
        """How many earlier bars decide a value."""
        return self.told_warmup(**self.settings) if callable(self.told_warmup) else self.told_warmup

    def __call__(self, bars: Bars) -> FloatMatrix:
        """Call the function; the rows that it cannot know yet are NaN."""
        values = np.array(type(self).function(bars, **self.settings), dtype=np.float64)
        matrix = values[:, np.newaxis] if values.ndim == 1 else values
        matrix[: self.warmup] = np.nan
        return matrix


def user_feature(
    *, warmup: int | Callable[..., int], names: Sequence[str] = ()
) -> Callable[[Function], type[UserFeature]]:
    """Make a feature of a function that takes bars, and then parameters, and gives one number for each bar.

    The function's parameters become keys of ``[[features]]``: with their annotations, or the types of their defaults,
    and required where they have no default. The column is named after the function and its parameters
    (``momentum_20``). Rows before ``warmup`` are made NaN, so that a function may fill them as it likes.

    Parameters
    ----------
    warmup
        How many earlier bars decide a value: a number, or a function of the parameters that says it.
    names
        Where the function gives several columns, as an array of shape (bars, names): how each name ends.

    Raises ``TypeError`` for a function without bars, and for a parameter that says no type.

    >>> from itb.datafeeds.waves import sinus
    >>> @user_feature(warmup=lambda window: window)
    ... def momentum(bars, window=20):
    ...     earlier = np.roll(bars.close, window)
    ...     return bars.close / earlier - 1
    >>> fast = momentum(window=2)
    >>> fast.names, fast.warmup, fast(sinus(bars=4)).round(4).tolist()
    (('momentum_2',), 2, [[nan], [nan], [0.0007], [0.0007]])
    """

    def make(function: Function) -> type[UserFeature]:
        parameters = list(inspect.signature(function).parameters.values())
        if not parameters:
            raise TypeError(f"{function.__name__} must take bars, takes nothing")
        hints = get_type_hints(function)
        made: list[Any] = []
        for one in sorted(parameters[1:], key=lambda one: one.default is not inspect.Parameter.empty):
            has_default = one.default is not inspect.Parameter.empty
            if one.name not in hints and not has_default:
                raise TypeError(f"{function.__name__}: {one.name} must say its type, such as {one.name}: int")
            default = (field(default=one.default),) if has_default else ()
            made.append((one.name, hints.get(one.name, type(one.default)), *default))
        told = {
            "function": staticmethod(function),
            "told_warmup": staticmethod(warmup) if callable(warmup) else warmup,
            "told_names": tuple(names),
            "__doc__": function.__doc__ or f"{function.__name__}, a function of the user's own.",
            "__module__": function.__module__,
        }
        return make_dataclass(function.__name__, made, bases=(UserFeature,), namespace=told, frozen=True)

    return make


def _shown(value: object) -> str:
    return "_".join(map(_shown, value)) if isinstance(value, (list, tuple)) else str(value)
