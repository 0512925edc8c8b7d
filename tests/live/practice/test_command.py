"""`itb practice` as a person starts and stops it, and what it says when it cannot start."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
import requests
from typer.testing import CliRunner

from itb.cli import app
from itb.config import load_config
from itb.errors import ItbError
from itb.runs.practice import Rehearsal, build_exchange
from itb.runs.workspace import Workspace

MAIN = [sys.executable, "-c", "from itb.cli import main; main()", "practice"]
HOUR = 3_600_000


def workspace(*settings: str) -> Workspace:
    return Workspace(load_config(None, settings, environ={}))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    command = [*MAIN, "--speed", "max", "--bars", "50", "--faults", "event_lost=1", "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True, env=dict(os.environ)) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(3)]
        url = re.search(r"http://127\.0\.0\.1:\d+", lines[0])
        assert url is not None
        assert "speed max, 1 kinds of fault, seed 0" in lines[1]
        assert requests.get(f"{url[0]}/api/v3/ping", timeout=60).json() == {}
        while not requests.get(f"{url[0]}/practice/clock", timeout=60).json()["over"]:
            pass
        process.send_signal(number)
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    said = json.loads(out)
    assert (said["over"], said["orders"], said["totals"]["BTC"]) == (True, 0, "0")
    assert "Traceback" not in err


def test_the_port_may_be_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*MAIN, "--port", str(port)], cwd=tmp_path, capture_output=True, check=False, text=True, timeout=300
        )
    assert done.returncode == 2
    assert f"--port {port}: cannot listen on 127.0.0.1" in done.stderr


def test_the_last_bars_are_replayed_with_the_costs_and_cash_of_the_backtest() -> None:
    exchange = build_exchange(
        workspace("costs.taker_fee_bps=7.5", "costs.slippage_bps=2", "costs.spread_bps=2", "backtest.cash=1234.5"),
        Rehearsal(bars=100, faults="all=5", seed=4),
    )
    (tape,) = exchange.venue.tapes.values()
    assert (exchange.stop_ms - exchange.venue.now) // HOUR == 100
    assert exchange.stop_ms == tape.bars.close_time[-1]
    terms = exchange.venue.terms
    assert (terms.taker_fee, terms.slippage, terms.fee_currency) == (Decimal("0.00075"), Decimal("0.0003"), "quote")
    assert exchange.venue.wallet.totals() == {"BTC": 0, "USDT": Decimal("1234.5")}
    assert (exchange.faults.seed, tape.rules.tick) == (4, Decimal("0.01"))


def test_prices_have_no_more_decimals_than_the_exchange_can_print() -> None:
    (tape,) = build_exchange(workspace("instrument.tick=1e-10"), Rehearsal(bars=10)).venue.tapes.values()
    assert tape.rules.tick == Decimal("1e-8")


def test_a_replay_may_begin_where_it_is_told() -> None:
    start = 1_680_000_000_000 + 1
    exchange = build_exchange(workspace(), Rehearsal(start_ms=start, bars=10))
    assert exchange.venue.now == 1_680_000_000_000 - 1_680_000_000_000 % HOUR + HOUR  # the next close
    assert exchange.stop_ms == exchange.venue.now + 10 * HOUR


@pytest.mark.parametrize(
    ("rehearsal", "settings", "told"),
    [
        (Rehearsal(speed="fast"), (), "--speed: speed must be a number above 0"),
        (Rehearsal(speed="0"), (), "--speed: speed must be a number above 0"),
        (Rehearsal(faults="emty=5"), (), "--faults: no fault 'emty'; did you mean \"empty\""),
        (Rehearsal(bars=10**6), (), "--bars 1000000: there are 8,760 bars"),
        (Rehearsal(start_ms=2_000_000_000_000), (), "--start: from 2033"),
        (Rehearsal(volume_share=2.0), (), "--volume-share: volume_share must lie above 0"),
        (Rehearsal(), ("costs.fee_currency=BNB",), "fees in BNB need its price"),
        (Rehearsal(), ("costs.fee_currency=DOGE",), "takes fees in quote, base, BNB, not in 'DOGE'"),
    ],
)
def test_what_cannot_be_rehearsed_is_said_in_a_line(rehearsal: Rehearsal, settings: tuple[str, ...], told: str) -> None:
    with pytest.raises(ItbError) as refused:
        build_exchange(workspace(*settings), rehearsal)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_moment_that_cannot_be_read_is_refused() -> None:
    done = CliRunner().invoke(app, ["practice", "--start", "soon"])
    assert 'expected a day such as "2024-03-01"' in str(done.exception)
