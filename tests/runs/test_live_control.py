"""`itb live status` and its kin: find the bot, ask it, read its journal where none runs."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from itb import cli
from itb.live.journal.store import Journal
from itb.live.orders import events as ev
from itb.live.run.event_log import EventLog, Kind
from itb.live.run.lock import InstanceLock
from itb.runs import live_control
from tests.live.run.steering import Bot, running

Itb = Callable[..., tuple[int, str, str]]


@pytest.fixture
def itb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Itb:
    """Run `itb live` in an empty project, in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["itb", "live", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        told = capsys.readouterr()
        return int(left.value.code or 0), told.out, told.err

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "live" / "bot-paper"


@pytest.fixture
def bot(folder: Path) -> Iterator[Bot]:
    """A bot that runs."""
    folder.mkdir(parents=True, mode=0o700)
    with InstanceLock(folder / "lock"), running(folder) as bot:
        yield bot


def journal(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with Journal(folder / "journal.sqlite") as written:
        written.append([ev.Opened(1_709_251_200_000, "bot", ()), ev.Halted(1_709_251_260_000, "paused by telegram")])


def test_a_running_bot_is_seen(itb: Itb, bot: Bot) -> None:
    code, out, err = itb("status")
    assert (code, err) == (0, "")
    assert "demo runs" in out
    assert "HALTED" in out
    assert "0.123456789012345678" in out
    seen = json.loads(itb("status", "--json")[1])
    assert (seen["bot"], seen["is_running"], seen["positions"][0]["qty"]) == ("demo", True, "0.123456789012345678")
    assert itb("orders")[1].count("61234.5") == 1
    assert itb("orders", "--ended", "2")[1].count("61234.5") == 3
    assert json.loads(itb("orders", "--json")[1])["orders"][0]["qty"] == "0.10"


def test_a_running_bot_is_steered_and_its_refusals_are_one_line(itb: Itb, bot: Bot) -> None:
    assert itb("pause")[:2] == (0, "No new risk is taken.\n")
    assert itb("close", "BTC/USDT")[:2] == (0, "Closing.\n")
    assert itb("close", "--strategy", "s")[0] == 0
    assert itb("close", "--all")[0] == 0
    assert [what for what in bot.panel.asked if what[0] == "close"] == [
        ("close", ("terminal", "BTC/USDT", "")), ("close", ("terminal", "", "s")), ("close", ("terminal", "", "")),
    ]  # fmt: skip
    assert itb("trades", "--most", "7") == (2, "", "itb: cannot read 7\n")
    assert itb("resume")[:2] == (0, "resumed by terminal, signature=***\n")


def test_a_check_fails_when_it_does_not_run_or_is_halted(itb: Itb, folder: Path) -> None:
    journal(folder)
    assert itb("status", "--check")[0] == 1
    assert itb("status", "--json")[0] == 0
    with InstanceLock(folder / "lock"), running(folder) as bot:
        assert itb("status", "--check")[0] == 1
        bot.panel.health = "DEGRADED"
        assert itb("status", "--check")[0] == 0


@pytest.mark.parametrize("words", [(), ("BTC/USDT", "--all"), ("--strategy", "s", "--all")])
def test_closing_everything_must_be_said(itb: Itb, bot: Bot, words: tuple[str, ...]) -> None:
    code, _, err = itb("close", *words)
    assert (code, bot.panel.asked) == (2, [])
    assert "--all" in err


def test_stopping_waits_for_the_end(itb: Itb, folder: Path) -> None:
    folder.mkdir(parents=True)
    lock = InstanceLock(folder / "lock").acquire()
    with running(folder) as bot:

        def end() -> None:
            while not any(what[0] == "stop" for what in bot.panel.asked):
                time.sleep(0.01)
            lock.release()

        ending = threading.Thread(target=end)
        ending.start()
        code, out, _ = itb("stop", "--cancel")
        ending.join()
        assert (code, out) == (0, "Stopping.\nbot-paper has ended.\n")
        assert bot.panel.asked[-1] == ("stop", ("terminal", True))


def test_a_bot_that_does_not_end_is_a_finding(itb: Itb, bot: Bot) -> None:
    code, out, _ = itb("stop", "--wait", "0.05")
    assert code == 1
    assert "has not ended within 0.05 s" in out
    assert itb("stop", "--wait", "0", "--keep")[:2] == (0, "Stopping.\n")
    assert bot.panel.asked[-1] == ("stop", ("terminal", False))


def test_where_none_runs_the_journal_is_read(itb: Itb, folder: Path) -> None:
    journal(folder)
    code, out, _ = itb("status")
    assert code == 0
    assert "bot-paper does not run; its journal ends at 2024-03-01 00:01" in out
    assert "paused by telegram" in out
    assert itb("orders")[1] == "No order is unfinished.\n"
    assert itb("trades")[1] == "No trade yet.\n"
    assert itb("balance")[1] == "The journal knows of no balance yet.\n"
    code, _, err = itb("pause")
    assert code == 2
    assert "no bot runs here; start it with `itb live`" in err


def test_a_longer_list_than_a_running_bot_has_in_memory_is_read_from_its_journal(
    itb: Itb, bot: Bot, folder: Path
) -> None:
    journal(folder)
    assert itb("orders", "--ended", "500")[1].count("61234.5") == 501
    assert itb("orders", "--ended", "501")[1] == "No order is unfinished.\n"
    assert itb("trades", "--most", "501")[1] == "No trade yet.\n"


def test_a_lock_that_is_held_without_a_socket_shows_the_journal(itb: Itb, folder: Path) -> None:
    journal(folder)
    with InstanceLock(folder / "lock"):
        assert "does not run; its journal ends" in itb("status")[1]


def test_a_config_that_is_broken_by_now_keeps_nobody_from_stopping(itb: Itb, bot: Bot, tmp_path: Path) -> None:
    (tmp_path / "itb.toml").write_text("[live]\nno such thing")
    assert itb("stop", "--wait", "0")[:2] == (0, "Stopping.\n")
    assert itb("status", "--bot", "bot-paper")[0] == 0


def test_a_config_that_is_broken_is_said_where_no_bot_is_found(itb: Itb, tmp_path: Path) -> None:
    (tmp_path / "itb.toml").write_text("[live]\nno such thing")
    code, _, err = itb("status")
    assert code == 2
    assert "itb.toml" in err


def test_bots_are_told_apart(itb: Itb, bot: Bot, tmp_path: Path, folder: Path) -> None:
    other = folder.with_name("bot-practice")
    journal(other)
    assert "demo runs" in itb("status")[1]
    assert "bot-practice does not run" in itb("status", "--bot", "bot-practice")[1]
    code, _, err = itb("status", "--bot", "bto")
    assert code == 2
    assert "--bot bto: there is no such bot in" in err
    assert "there is bot-paper, bot-practice" in err
    with InstanceLock(other / "lock"):
        code, _, err = itb("pause")
        assert code == 2
        assert "several bots run: bot-paper, bot-practice; name one with --bot" in err


def test_the_one_that_ran_last_is_meant(itb: Itb, folder: Path) -> None:
    journal(folder)
    time.sleep(0.02)
    journal(folder.with_name("bot-practice"))
    journal(folder.with_name("another"))
    assert "bot-practice does not run" in itb("status")[1]


def test_where_no_bot_ever_ran_it_is_said(itb: Itb) -> None:
    assert itb("status") == (2, "", "itb: there is no bot yet in runs/live. `itb live` starts one\n")


def test_a_bot_that_has_written_nothing_yet_is_told_to_be_starting(itb: Itb, folder: Path) -> None:
    folder.mkdir(parents=True)
    with InstanceLock(folder / "lock"):
        told = itb("status")
    assert told == (2, "", "itb: bot-paper is starting: nothing to see yet; ask again shortly\n")


def test_watching_shows_events_and_ends_with_the_bot(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    from rich.console import Console

    log = EventLog(bot.folder / "events.jsonl", lambda: 1_709_251_200_000)
    log.write(Kind.FILL, symbol="BTC/USDT")
    log.close()
    found = live_control.Bot("bot-paper", bot.folder)
    rounds: list[Any] = []
    monkeypatch.setattr(time, "sleep", rounds.append)
    monkeypatch.setattr(live_control.Bot, "is_running", property(lambda self: len(rounds) < 2))
    console = Console(file=io.StringIO(), width=100)
    live_control.watch_status(found, console)
    assert isinstance(console.file, io.StringIO)
    assert "FILL" in console.file.getvalue()
    assert "bot-paper does not run." in console.file.getvalue()
    assert len(rounds) == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--paper",), "the built-in market is no exchange"),
        ((), "the built-in market is no exchange"),
        (("--exchange", "binance"), "live.cash: not set; say how much"),
        (("--exchange", "binance", "--set", "live.cash=100"), "no keys for the exchange"),
        (("--practice", "--set", "live.limits.max_daily_loss=abc"), "live.limits.max_daily_loss: expected a number"),
    ],
)
def test_what_cannot_trade_is_refused_before_anything_is_learned(
    itb: Itb, tmp_path: Path, words: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ITB_EXCHANGE_API_KEY", raising=False)
    code, _, err = itb(*words)
    assert code == 2
    assert told in err
    assert not (tmp_path / "runs").exists()
