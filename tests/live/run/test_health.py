"""Health: one alert and one recovery per trouble, whoever reports, and the worst says how it is."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from itb.live.episodes import Episodes
from itb.live.run.health import Change, HealthBoard

steps = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["trouble", "halt", "well"])), max_size=60)


@given(steps)
def test_each_episode_is_told_once_when_it_begins_and_once_when_it_ends(said: list[tuple[str, str]]) -> None:
    told: list[Change] = []
    now = [0]
    board = HealthBoard(lambda: now[0], told.append)
    model: dict[str, bool] = {}
    expected: list[tuple[str, bool, bool]] = []
    for key, what in said:
        now[0] += 1
        if what == "well":
            board.well(key)
            if key in model:
                expected.append((key, True, model.pop(key)))
        else:
            halts = what == "halt"
            board.trouble(key, f"{key} at {now[0]}", halts=halts)
            if model.get(key) is not halts:
                expected.append((key, False, halts))
            model[key] = halts
        assert board.health == ("HALTED" if True in model.values() else "DEGRADED" if model else "NORMAL")
        assert {one.key for one in board.troubles} == set(model)
        assert [one.halts for one in board.troubles] == sorted(model.values(), reverse=True)
    assert [(one.trouble.key, one.is_over, one.trouble.halts) for one in told] == expected
    assert all(one.trouble.since <= one.time for one in told)


def test_episodes_of_others_are_taken_over() -> None:
    told: list[Change] = []
    board = HealthBoard(lambda: 7, told.append)
    episodes = Episodes(board.hear)
    for _ in range(3):
        episodes.trouble("model", "is missing")
    assert (board.health, board.reasons) == ("DEGRADED", ("is missing",))
    episodes.well("model")
    assert [(one.is_over, one.health) for one in told] == [(False, "DEGRADED"), (True, "NORMAL")]


def test_a_condition_is_kept_by_its_text() -> None:
    told: list[Change] = []
    board = HealthBoard(lambda: 7, told.append)
    for text in ("", None, "paused", "paused", "", None):
        board.keep("orders", text, halts=True)
    assert [(one.trouble.text, one.is_over) for one in told] == [("paused", False), ("paused", True)]


def test_who_is_told_may_report_again() -> None:
    def tell(change: Change) -> None:
        if not change.is_over and change.trouble.key == "a":
            board.trouble("b", "follows")

    board = HealthBoard(lambda: 7, tell)
    board.trouble("a", "first")
    assert {one.key for one in board.troubles} == {"a", "b"}


def test_many_threads_tell_one_episode() -> None:
    told: list[Change] = []
    board = HealthBoard(lambda: 7, told.append)

    def report() -> None:
        for _ in range(200):
            board.trouble("x", "y")

    threads = [threading.Thread(target=report) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 1
    assert board.troubles[0].count == 800
