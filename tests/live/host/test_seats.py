from __future__ import annotations

import threading

import pytest

from itb.live.host.seats import Seats

ENOUGH_S = 60.0


class Times:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def beginning(seats: Seats, who: str, order: list[str]) -> threading.Thread:
    """Let somebody take a seat in a thread of its own, and note that it has it."""

    def run() -> None:
        seats.take(who)
        order.append(who)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def ended(thread: threading.Thread) -> bool:
    thread.join(ENOUGH_S)
    return not thread.is_alive()


def test_one_begins_when_another_has_ended() -> None:
    seats, order = Seats(1, clock=Times()), list[str]()
    seats.take("a")
    waiting = beginning(seats, "b", order)
    order.append("a")
    seats.leave("a")
    assert ended(waiting)
    assert order == ["a", "b"]


def test_as_many_as_allowed_are_at_it_together() -> None:
    seats = Seats(2, clock=Times())
    seats.take("a")
    assert ended(beginning(seats, "b", []))


def test_everybody_gets_a_seat() -> None:
    seats, order = Seats(2), list[str]()
    names = [str(number) for number in range(30)]

    def work(who: str) -> None:
        seats.take(who)
        order.append(who)
        seats.leave(who)

    threads = [threading.Thread(target=work, args=(name,), daemon=True) for name in names]
    for thread in threads:
        thread.start()
    assert all(ended(thread) for thread in threads)
    assert sorted(order) == sorted(names)


def test_who_never_comes_back_holds_nobody_up_for_ever() -> None:
    seats = Seats(1, patience_s=0.01)
    seats.take("stuck")
    assert ended(beginning(seats, "b", []))


def test_a_seat_that_was_lost_is_not_left_twice() -> None:
    clock = Times()
    seats, order = Seats(1, patience_s=0.01, clock=clock), list[str]()
    seats.take("slow")
    clock.now = 1.0
    seats.take("b")  # at once: the slow one has lost its seat
    waiting = beginning(seats, "c", order)
    seats.leave("slow")  # frees nothing: the seat is b's
    order.append("b")
    seats.leave("b")
    assert ended(waiting)
    assert order == ["b", "c"]


@pytest.mark.parametrize(("at_once", "patience_s"), [(0, 1.0), (1, 0.0)])
def test_impossible_seats_are_refused(at_once: int, patience_s: float) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        Seats(at_once, patience_s)
