"""What is seen of a running bot: figures, view and the log's health, none of which can end it."""

from __future__ import annotations

import asyncio
import io
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from itb.live.run.event_log import EventLog, Kind
from itb.live.run.health import HealthBoard
from itb.live.run.metrics import Metrics
from itb.live.run.outlook import Outlook
from tests.live.run.steering import Panel


class Scene:
    """A panel with log, figures and health around it."""

    def __init__(self, folder: Path) -> None:
        self.metrics, self.board = Metrics("demo"), HealthBoard(lambda: 0)
        self.log = EventLog(folder / "events.jsonl", lambda: 0, heard=self.metrics.hear)
        self.panel = Panel()

    def outlook(self, **settings: Any) -> Outlook:
        return Outlook(self.panel, self.log, self.metrics, self.board, bot="demo", every_s=0.01, **settings)

    async def until(self, done: Any) -> None:
        for _ in range(12_000):
            if done():
                return
            await asyncio.sleep(0.005)
        pytest.fail("it did not happen within a minute")


@pytest.fixture
def scene(tmp_path: Path) -> Any:
    scene = Scene(tmp_path)
    yield scene
    scene.log.close()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def test_figures_are_served_while_it_is_entered(scene: Scene) -> None:
    port = free_port()

    async def act() -> bytes:
        async with scene.outlook(port=port):
            scene.log.write(Kind.FILL)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
            answer = await reader.read()
            writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        return answer

    answer = asyncio.run(act()).decode()
    assert 'itb_events_total{bot="demo",event="FILL"} 1.0' in answer
    assert 'itb_position{bot="demo",strategy="s",symbol="BTC/USDT"} 0.12345678901234568' in answer
    assert "process_open_fds" in answer


def test_a_port_that_is_taken_is_a_trouble_and_no_end(scene: Scene) -> None:
    async def act() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            async with scene.outlook(port=taken.getsockname()[1]):
                assert scene.board.health == "DEGRADED"
                assert "cannot listen" in scene.board.reasons[0]

    asyncio.run(act())


def test_the_view_is_drawn_and_ends(scene: Scene) -> None:
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True)

    async def act() -> None:
        scene.log.write(Kind.FILL, symbol="BTC/USDT")
        scene.log.flush()
        async with scene.outlook(console=console):
            await scene.until(lambda: len(scene.panel.asked) >= 3)

    asyncio.run(act())
    assert "demo" in out.getvalue()
    assert "FILL" in out.getvalue()
    assert scene.board.health == "NORMAL"


def test_a_terminal_that_goes_away_ends_the_view_alone(scene: Scene) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError("gone")

    async def act() -> None:
        async with scene.outlook(console=Console(file=Gone(), width=100, force_terminal=True)):
            await scene.until(lambda: scene.board.reasons)

    asyncio.run(act())
    assert "the live view has ended: BrokenPipeError" in scene.board.reasons[0]


def test_a_log_that_cannot_be_written_is_told_once_and_when_it_is_over(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, is_full = os.write, [True]

    def writing(handle: int, line: bytes) -> int:
        if is_full[0] and line.startswith(b'{"time"'):
            raise OSError(28, "No space left on device")
        return write(handle, line)

    async def act() -> None:
        async with scene.outlook():
            scene.log.write(Kind.NOTE)
            await scene.until(lambda: scene.board.reasons)
            assert "No space left on device" in scene.board.reasons[0]
            is_full[0] = False
            scene.log.write(Kind.NOTE)
            await scene.until(lambda: scene.board.health == "NORMAL")

    monkeypatch.setattr(os, "write", writing)
    asyncio.run(act())
