"""Canary keys in every fault run, everything at DEBUG: no log, journal, event, metric, message or screen has them."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from itb import cli
from itb.errors import GatewayError
from itb.live.cockpit import to_json
from itb.live.gateways.faults import FaultPlan
from itb.live.gateways.port import NoAnswerError, Rejected, Unknown
from itb.live.run.control import ControlServer
from itb.live.run.event_log import EventLog, Kind
from itb.live.run.health import HealthBoard
from itb.live.run.metrics import Metrics
from itb.live.run.past import JournalCockpit, order_lines
from itb.live.run.redaction import hide
from tests.live.rehearsal import Rehearsal
from tests.live.run.steering import Panel

KEY, SECRET = "cAnArYk3yAAAAAAAAAAAAAAAAAAAAAAAA", "cAnArYs3cr3t/with+signs=AAAAAAAAAA"
SIGNED = f"https://api.example/api/v3/order?symbol=BTCUSDT&apiKey={KEY}&signature=deadbeef00&x={quote(SECRET, safe='')}"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Everything that any logger says at DEBUG."""
    undo = hide([KEY, SECRET])
    root, stream = logging.getLogger(), io.StringIO()
    handler, level = logging.StreamHandler(stream), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)
    undo()


def assert_clean(where: str, said: str | bytes) -> None:
    text = said if isinstance(said, str) else said.decode("latin-1")
    for canary in (KEY, SECRET, quote(SECRET, safe=""), "deadbeef00", "cAnArY"):
        assert canary not in text, f"{where} tells {canary}"


class Leaky:
    """A gateway around another one whose words quote keys and signed addresses, and which logs them, too."""

    def __init__(self, inner: Any) -> None:
        self._inner, self._calls = inner, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def _words(self) -> str:
        self._calls += 1
        logging.getLogger("driver").debug("headers {'X-MBX-APIKEY': '%s'} of %s", KEY, SIGNED)
        return f"503 for {SIGNED}, X-MBX-APIKEY: {KEY}"

    async def submit(self, request: Any) -> Any:
        words = self._words()
        if self._calls % 3 == 0:
            raise RuntimeError(words)
        outcome = await self._inner.submit(request)
        return Unknown(words) if self._calls % 3 == 1 else outcome

    async def cancel(self, symbol: str, client_id: str) -> Any:
        outcome = await self._inner.cancel(symbol, client_id)
        return Unknown(self._words()) if self._calls % 2 else outcome

    async def order(self, symbol: str, client_id: str) -> Any:
        words = self._words()
        if self._calls % 4 == 0:
            raise NoAnswerError(words)
        return await self._inner.order(symbol, client_id)


class Refusing(Leaky):
    """Refuses everything, in words that quote the key."""

    async def submit(self, request: Any) -> Any:
        return Rejected(self._words())


def files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("gateway", [Leaky, Refusing])
@pytest.mark.parametrize("seed", range(3))
def test_a_storm_of_faults_leaves_no_secret(
    tmp_path: Path, lines: io.StringIO, gateway: type[Leaky], seed: int
) -> None:
    journal = tmp_path / "journal.db"
    rehearsal = Rehearsal(journal, faults=FaultPlan(per_mille=200), seed=seed)
    dealer = rehearsal.dealer
    leaky: Any = gateway(dealer.gateway)
    dealer.gateway = leaky
    metrics = Metrics("demo")
    log = EventLog(tmp_path / "events.jsonl", rehearsal.clock, bot="demo", heard=metrics.hear)
    board = HealthBoard(rehearsal.clock, lambda change: log.write(Kind.DEGRADED, text=change.trouble.text))
    dealer.follow(lambda events: log.write(Kind.ORDER, step=str(events)))
    rehearsal.trade(30)
    book = dealer.book
    assert any("503" in order.reason or "***" in order.reason for order in book.orders.values())
    board.keep("venue", book.degraded or SIGNED)
    board.keep("orders", book.halted or None, halts=True)
    for order in book.orders.values():
        logging.getLogger("bot").info("%r", order)
    log.close()
    rehearsal.close()
    assert_clean("memory", "".join(str(to_json(line)) for line in order_lines(book, 1000)))
    assert_clean("metrics", metrics.text())
    assert_clean("a log", lines.getvalue())
    assert "***" in lines.getvalue()
    assert len(list(files(tmp_path))) >= 2
    for file in files(tmp_path):
        assert_clean(file.name, file.read_bytes())
    assert_clean("the journal's cockpit", str(JournalCockpit("demo", journal).orders(1000)))


class Failing(Panel):
    """A cockpit whose every word is a leak."""

    def status(self) -> Any:
        raise GatewayError(f"cannot look: {SIGNED}")

    def balance(self) -> Any:
        raise RuntimeError(f"cannot count: {SECRET}")

    def pause(self, by: str) -> str:
        return f"paused with {KEY}"


def test_the_socket_answers_without_secrets(tmp_path: Path, lines: io.StringIO) -> None:
    server = ControlServer(Failing(), tmp_path)
    for ask in (b"status", b"balance", b"pause"):
        answer = str(server.answer(b'{"ask": "%s"}\n' % ask))
        assert_clean("an answer", answer)
        assert "***" in answer
    assert_clean("a log", lines.getvalue())


@pytest.mark.parametrize("error", [GatewayError, OSError, RuntimeError])
def test_the_command_line_fails_without_secrets(
    lines: io.StringIO, error: type[Exception], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error(f"no answer from {SIGNED}")

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.setattr(sys, "argv", ["itb"])
    with pytest.raises(SystemExit):
        cli.main()
    told = capsys.readouterr()
    assert "***" in told.err
    assert_clean("the terminal", told.out + told.err)


def test_a_loop_that_debugs_tells_no_secret(lines: io.StringIO) -> None:
    async def fail() -> None:
        raise RuntimeError(SIGNED)

    async def scene() -> None:
        task = asyncio.get_running_loop().create_task(fail(), name=f"task {KEY}")
        await asyncio.wait([task])
        del task

    asyncio.run(scene(), debug=True)
    import gc

    gc.collect()
    assert "never retrieved" in lines.getvalue()
    assert_clean("a log", lines.getvalue())
