"""Metrics: readable by Prometheus, on this machine alone, whoever knocks."""

from __future__ import annotations

import asyncio
import re
import socket
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.errors import ItbError
from itb.live.cockpit import BarLine, PositionLine, ScoreLine, Status, StrategyLine
from itb.live.run.event_log import EventLog, Kind
from itb.live.run.metrics import Family, Metrics, MetricsServer, process_families, status_families
from itb.live.run.redaction import hide

SEEN = Status(
    "demo", "paper", time=1_709_251_260_000, started_at=1_709_251_200_000, health="DEGRADED", reasons=("slow",),
    steps=7, equity=Decimal("1000.123456789"), bars=(BarLine("BTC/USDT", 1_709_251_200_000, Decimal("61234.5")),),
    scores=(ScoreLine("BTC/USDT", "high_gb", 0, 0.25), ScoreLine("BTC/USDT", "high_nn", 0, None)),
    positions=(PositionLine("s", "BTC/USDT", Decimal("-0.5")),), strategies=(StrategyLine("s", trades=3),),
)  # fmt: skip
SAMPLE = re.compile(
    r'([a-zA-Z_:][a-zA-Z0-9_:]*)\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\} (\S+)'
)  # the text format's grammar, for lines without timestamps
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')


def read(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Read the text format as its specification says; no line may be anything else, no series may be there twice."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    typed: set[str] = set()
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        if line.startswith("# "):
            word, name, _ = line[2:].split(" ", 2)
            assert word in {"HELP", "TYPE"}
            assert word == "HELP" or name not in typed
            typed |= {name} if word == "TYPE" else set()
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        unescape = {"\\\\": "\\", "\\n": "\n", '\\"': '"'}
        labels = [(name, re.sub(r"\\.", lambda m: unescape[m[0]], said)) for name, said in LABEL.findall(match[2])]
        assert len(labels) == len(dict(labels))
        key = match[1], frozenset(labels)
        assert key not in found
        assert re.sub("_(bucket|sum|count)$", "", match[1]) in typed | {match[1]}
        found[key] = float(match[3])
    return found


def value(text: str, name: str, **labels: str) -> float:
    return read(text)[name, frozenset({"bot": "demo", **labels}.items())]


@given(st.text(max_size=30), st.floats(), st.text(max_size=30))
def test_any_label_and_number_survives_the_text_format(said: str, number: float, meaning: str) -> None:
    told = said.replace("\r", "")
    text = Family("itb_x", "gauge", meaning, (("", (("what", told),), number),)).text()
    ((name, labels), found), *rest = read(text).items()
    assert (name, rest) == ("itb_x", [])
    assert found == number or number != number
    assert labels == {("what", told)}


def test_what_is_logged_is_counted(tmp_path: Path) -> None:
    metrics = Metrics("demo")
    log = EventLog(tmp_path / "events.jsonl", lambda: 0, heard=metrics.hear)
    for seconds in (0.0004, 0.004, 0.004, 99.0, float("nan")):
        log.write(Kind.TICK, symbol="BTC/USDT", seconds=seconds)
    log.write(Kind.ORDER, step="answered", phase="open")
    log.close()
    text = metrics.text()
    assert value(text, "itb_events_total", event="TICK") == 5
    assert value(text, "itb_order_steps_total", step="answered", phase="open") == 1
    assert value(text, "itb_decision_seconds_bucket", le="0.001") == 1
    assert value(text, "itb_decision_seconds_bucket", le="0.005") == 3
    assert value(text, "itb_decision_seconds_bucket", le="10.0") == 3
    assert value(text, "itb_decision_seconds_bucket", le="+Inf") == value(text, "itb_decision_seconds_count") == 4
    assert value(text, "itb_decision_seconds_sum") == pytest.approx(99.0084)


def test_the_status_is_told() -> None:
    text = Metrics("demo").text((*status_families(SEEN), *process_families("demo")))
    assert [value(text, "itb_health", state=state) for state in ("NORMAL", "DEGRADED", "HALTED")] == [0, 1, 0]
    assert value(text, "itb_equity") == 1000.123456789
    assert value(text, "itb_position", strategy="s", symbol="BTC/USDT") == -0.5
    assert value(text, "itb_score", symbol="BTC/USDT", column="high_gb") == 0.25
    assert not any(("column", "high_nn") in labels for _, labels in read(text))
    assert value(text, "process_open_fds") > 0
    assert 1e6 < value(text, "process_resident_memory_bytes") < 1e11
    assert list(process_families("demo", Path("/nowhere"))) == []


def test_names_from_outside_cannot_fill_the_memory() -> None:
    metrics = Metrics("demo")
    for n in range(3000):
        metrics.hear("ORDER", {"step": f"step {n}"})
    text = metrics.text()
    assert text.count("itb_order_steps_total{") <= 1001
    assert value(text, "itb_order_steps_total", step="other", phase="other") == 2000


def test_no_secret_is_told() -> None:
    undo = hide(["cAnArY-k3y"])
    try:
        metrics = Metrics("demo")
        metrics.hear("ORDER", {"step": "cAnArY-k3y", "phase": "signature=deadbeef"})
        text = metrics.text()
    finally:
        undo()
    assert "cAnArY" not in text
    assert "deadbeef" not in text


async def ask(port: int, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    if not sent.endswith(b"\r\n\r\n"):
        writer.write_eof()
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("sent", "status", "body"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200 OK", b"figures\n"),
        (b"GET /metrics?x=1 HTTP/1.0\r\n\r\n", b"HTTP/1.1 200 OK", b"figures\n"),
        (b"HEAD /metrics HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK", b""),
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 404 Not Found", b"look at /metrics\n"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"HTTP/1.1 405 Method Not Allowed", b"GET only\n"),
        (b"\xff\0 \r\n\r\n", b"HTTP/1.1 405 Method Not Allowed", b"GET only\n"),
    ],
)
def test_requests_are_answered(sent: bytes, status: bytes, body: bytes) -> None:
    async def scene() -> bytes:
        server = MetricsServer(lambda: "figures\n", 0)
        await server.start()
        try:
            for junk in (b"", b"GET /metrics", b"x" * 20_000):
                assert await ask(server.port, junk) == b""
            return await ask(server.port, sent)
        finally:
            await server.stop()

    head, _, found = asyncio.run(scene()).partition(b"\r\n\r\n")
    assert head.startswith(status)
    assert found == body


def test_figures_that_cannot_be_had_are_a_500_and_tell_nothing() -> None:
    def fail() -> str:
        raise ValueError("cAnArY-k3y")

    answer = MetricsServer(fail, 0)._answer(b"GET /metrics HTTP/1.1\r\n\r\n")
    assert b"500" in answer
    assert b"cAnArY" not in answer


def test_a_port_that_is_taken_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ItbError, match=rf"live.metrics_port = {port}: cannot listen on 127.0.0.1"):
            asyncio.run(MetricsServer(lambda: "", port).start())
