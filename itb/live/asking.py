"""Ask until there is an answer: one request that fails must not end a start."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TypeVar

from itb.errors import GatewayError

T = TypeVar("T")
FAILURES: tuple[type[Exception], ...] = (GatewayError, OSError, TimeoutError)


def doubling(first_s: float, most_s: float) -> Iterator[float]:
    """Give pauses without end, each twice as long as the one before, none longer than ``most_s``.

    >>> from itertools import islice
    >>> list(islice(doubling(0.5, 3.0), 5))
    [0.5, 1.0, 2.0, 3.0, 3.0]
    """
    while True:
        yield first_s
        first_s = min(2 * first_s, most_s)


async def ask(
    question: Callable[[], Awaitable[T]],
    pauses: Iterable[float],
    tell: Callable[[Exception, float], None],
    *,
    failures: tuple[type[Exception], ...] = FAILURES,
) -> T:
    """Ask; after each failure tell it and ask again a pause later. What the last question raises is raised.

    Of a group of failures the first is told.

    >>> answers = iter([OSError("no route"), 42])
    >>> async def question():
    ...     answer = next(answers)
    ...     if isinstance(answer, Exception):
    ...         raise answer
    ...     return answer
    >>> asyncio.run(ask(question, doubling(0.0, 1.0), lambda error, pause: print(error, pause)))
    no route 0.0
    42
    """
    for pause in pauses:
        try:
            return await question()
        except* failures as errors:
            tell(_first(errors), pause)
        await asyncio.sleep(pause)
    return await question()


def _first(error: BaseException) -> Exception:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Exception)
    return error
