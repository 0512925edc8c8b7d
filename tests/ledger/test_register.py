from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from itb.errors import RunError
from itb.ledger.register import Look, Opening, Register, market_of

LOOK = Look(1_000, "run-1", "backtest", "BTC", "BTC/USDT", "1h", 100, 200, "data", "config", {"sharpe": 1.5}, trials=3)

WRITER = """
import sys
from pathlib import Path
from itb.ledger.register import Look, Register

register = Register(Path(sys.argv[1]))
for count in range(100_000):
    register.add(Look(count, f"{sys.argv[2]}-{count}", "backtest", "BTC", "BTC/USDT", "1h", 0, 1, "d", "c", {"a": 1.0}))
    print(count, flush=True)
"""


@pytest.fixture
def register(tmp_path: Path) -> Register:
    return Register(tmp_path / "deep" / "register.sqlite")


def test_a_look_comes_back_as_it_was_given(register: Register) -> None:
    register.add(LOOK)
    assert register.looks() == [LOOK]


def test_looks_are_found_by_market_and_overlapping_range(register: Register) -> None:
    register.add(
        LOOK, replace(LOOK, run_id="run-2", from_ms=200, to_ms=300), replace(LOOK, run_id="run-3", market="ETH")
    )

    def found(*query: Any) -> list[str]:
        return [look.run_id for look in register.looks(*query)]

    assert found("BTC", 150, 250) == ["run-1", "run-2"]
    assert found("BTC", 200, 201) == ["run-2"]
    assert found("BTC", 0, 100) == []
    assert found("BTC", 300, 400) == []
    assert found("BTC", 250) == ["run-2"]
    assert found("BTC", None, 150) == ["run-1"]
    assert found("ETH") == ["run-3"]
    assert found() == ["run-1", "run-2", "run-3"]


def test_the_fingerprint_of_the_data_is_kept_but_is_no_key(register: Register) -> None:
    register.add(LOOK, replace(LOOK, fingerprint="other", timeframe="1m", symbol="BTC/EUR"))
    assert len(register.looks("BTC", 100, 200)) == 2


def test_a_register_that_does_not_exist_is_empty_and_is_not_created_by_asking(register: Register) -> None:
    assert (register.looks("BTC"), register.holdout_openings("BTC"), register.sealed("BTC")) == ([], [], None)
    assert not register.file.exists()


def test_figures_that_are_not_numbers_are_kept_as_none(register: Register) -> None:
    register.add(replace(LOOK, metrics={"sharpe": float("nan"), "trades": 4, "sqn": None, "calmar": float("inf")}))
    assert register.looks()[0].metrics == {"sharpe": None, "trades": 4, "sqn": None, "calmar": None}


def test_looks_are_added_all_or_none(register: Register) -> None:
    register.add(LOOK)
    broken = replace(LOOK, command=object())  # type: ignore[arg-type]
    with pytest.raises(RunError, match="the register cannot be used"):
        register.add(LOOK, broken)
    assert len(register.looks()) == 1


def test_trials_of_a_run_are_counted_up_and_none_twice(register: Register) -> None:
    for trials in (3, 3, 10, 8):
        register.count_up(replace(LOOK, run_id="study", command="optimize", trials=trials))
    register.add(replace(LOOK, run_id="study", command="optimize --open-holdout", trials=1))
    register.count_up(replace(LOOK, run_id="study", command="optimize", trials=12))

    assert [(look.command, look.trials) for look in register.looks()] == [
        ("optimize", 3),
        ("optimize", 7),
        ("optimize --open-holdout", 1),
        ("optimize", 2),
    ]


def test_entries_can_neither_be_changed_nor_deleted(register: Register) -> None:
    register.add(LOOK)
    register.seal("BTC", 5, time=1, run_id="r")
    register.add_opening(Opening("BTC", 5, 1, "r", "backtest"))
    database = sqlite3.connect(register.file)
    for statement in (
        "UPDATE looks SET trials = 1",
        "DELETE FROM looks",
        "UPDATE seals SET from_ms = 0",
        "DELETE FROM openings",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="the register keeps every entry"):
            database.execute(statement)
    database.close()


def test_a_file_that_is_no_register_is_named(tmp_path: Path) -> None:
    file = tmp_path / "register.sqlite"
    file.write_text("not a database, but long enough to look like one " * 40)
    with pytest.raises(RunError, match=r"register.sqlite: the register cannot be used \(file is not a database\)"):
        Register(file).looks()
    blocked = Register(file / "below" / "register.sqlite")
    with pytest.raises(RunError, match="the register cannot be used"):
        blocked.add(LOOK)


def test_another_database_without_looks_is_an_empty_register(tmp_path: Path) -> None:
    file = tmp_path / "register.sqlite"
    file.touch()
    assert Register(file).looks() == []


def test_a_look_at_no_time_or_of_no_trial_is_refused() -> None:
    with pytest.raises(ValueError, match="from_ms 200 is not before to_ms 200"):
        replace(LOOK, from_ms=200)
    with pytest.raises(ValueError, match="trials must be at least 1, was 0"):
        replace(LOOK, trials=0)


def test_the_first_seal_holds_whoever_comes_later(register: Register) -> None:
    first = register.seal("BTC", 500, time=1, run_id="run-1")
    assert register.seal("BTC", 700, time=2, run_id="run-2") == first == register.sealed("BTC")
    assert register.seal("ETH", 700, time=2, run_id="run-2").from_ms == 700


def test_processes_that_seal_at_once_agree(register: Register) -> None:
    with ThreadPoolExecutor(8) as pool:
        seals = list(pool.map(lambda day: register.seal("BTC", day, time=day, run_id=str(day)), range(24)))
    assert len(set(seals)) == 1


def test_openings_are_kept_by_market(register: Register) -> None:
    opening = Opening("BTC", 500, 1, "run-1", "backtest --include-holdout")
    register.add_opening(opening)
    assert register.holdout_openings("BTC") == register.holdout_openings() == [opening]
    assert register.holdout_openings("ETH") == []


def test_synthetic_markets_are_none_of_the_coins_they_are_named_after() -> None:
    assert market_of("BTC/USDT") != market_of("BTC/USDT", synthetic_seed=1) != market_of("BTC/USDT", synthetic_seed=2)


def kill_writers(file: Path, rng: np.random.Generator) -> None:
    """Kill two processes that append at once, at a random moment: what they were told is kept must be there."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", WRITER, str(file)]
    names = [f"{rng.integers(2**62)}" for _ in range(2)]
    writers = [subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True, env=environment) for name in names]
    waiting = int(rng.integers(1, 60))
    for _ in range(waiting):
        assert writers[0].stdout is not None
        writers[0].stdout.readline()
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
    acknowledged = [len(writer.communicate()[0].splitlines()) for writer in writers]
    acknowledged[0] += waiting
    kept = [look.run_id for look in Register(file).looks()]
    assert len(kept) == len(set(kept))
    for name, count in zip(names, acknowledged, strict=True):
        written = sum(run_id.startswith(f"{name}-") for run_id in kept)
        assert count <= written <= count + 1


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_when_processes_that_append_are_killed(tmp_path: Path, seed: int) -> None:
    file = tmp_path / "register.sqlite"
    kill_writers(file, np.random.default_rng(seed))
    Register(file).add(LOOK)


@pytest.mark.soak
def test_nothing_is_lost_when_processes_that_append_are_killed_a_hundred_times(tmp_path: Path) -> None:
    rng = np.random.default_rng(99)
    for _ in range(100):
        kill_writers(tmp_path / "register.sqlite", rng)
