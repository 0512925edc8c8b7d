"""Asking until there is an answer: what is told, what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn

import pytest

from itb.errors import BarsError, GatewayError
from itb.live.asking import ask


def asked(*answers: Exception | int) -> tuple[list[str], Callable[[], int]]:
    """What is told while these answers come one after the other, each from a group of tasks; and how to ask."""
    told: list[str] = []
    left = iter(answers)

    async def fail(error: Exception) -> NoReturn:
        raise error

    async def question() -> int:
        answer = next(left)
        if isinstance(answer, int):
            return answer
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail(answer))
        raise AssertionError

    return told, lambda: asyncio.run(ask(question, (0.0, 0.0), lambda error, _pause: told.append(str(error))))


def test_each_failure_of_a_group_is_told_and_the_question_asked_again() -> None:
    told, answer = asked(GatewayError("down"), OSError("no route"), 7)
    assert answer() == 7
    assert told == ["down", "no route"]


def test_what_the_last_question_raises_is_raised() -> None:
    told, answer = asked(*(GatewayError(f"down {n}") for n in range(3)))
    with pytest.raises(ExceptionGroup) as raised:
        answer()
    assert str(raised.value.exceptions[0]) == "down 2"
    assert told == ["down 0", "down 1"]


def test_what_asking_again_cannot_mend_ends_it_at_once() -> None:
    told, answer = asked(BarsError("too few"), 7)
    with pytest.raises(ExceptionGroup) as raised:
        answer()
    assert isinstance(raised.value.exceptions[0], BarsError)
    assert told == []
