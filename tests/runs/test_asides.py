"""Works beside a running bot: in a process without keys, bounded, by the config in force."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from itb.errors import ItbError
from itb.runs import asides
from itb.runs.capsule import read_capsule
from itb.runs.workspace import Workspace
from tests.runs.searched import workspace as searched

_TELL = "import json, os, sys; json.load(sys.stdin); print(json.dumps({'known': sorted(os.environ)}))"


def test_a_work_knows_no_keys(workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ITB_TELEGRAM_TOKEN", "ITB_EXCHANGE_API_SECRET", "ITB_WEBHOOK_SECRET"):
        monkeypatch.setenv(name, "canary")
    monkeypatch.setattr(asides, "_CHILD", _TELL)
    known = asyncio.run(asides.aside(workspace().config, "backtest"))["known"]
    assert "PATH" in known
    assert [name for name in known if name.startswith("ITB_")] == []


def test_a_work_that_hangs_is_ended_with_all_its_processes(
    workspace, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    told = tmp_path / "pids"
    hang = (
        "import os, subprocess, sys, time; sleep = 'import time; time.sleep(999)'; "
        "one = subprocess.Popen([sys.executable, '-c', sleep]); "
        f"open({str(told)!r}, 'w').write(f'{{os.getpid()}} {{one.pid}}\\n'); time.sleep(999)"
    )
    monkeypatch.setattr(asides, "_CHILD", hang)
    place: Workspace = workspace()

    async def begin_and_cancel() -> None:
        work = asyncio.create_task(asides.aside(place.config, "backtest"))
        await asyncio.to_thread(_until, lambda: told.exists() and told.read_text().endswith("\n"))
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(begin_and_cancel())
    for pid in map(int, told.read_text().split()):
        _until(partial(_is_gone, pid))


def _until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def _is_gone(pid: int) -> bool:
    try:
        told = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return told.rpartition(")")[2].split()[0] == "Z"


def test_a_work_that_takes_too_long_says_so(workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asides, "_CHILD", "import time; time.sleep(999)")
    monkeypatch.setattr(asides, "LIMIT_S", 0)
    with pytest.raises(ItbError, match="backtest: was ended after 0 minutes; run it from a terminal"):
        asyncio.run(asides.aside(workspace().config, "backtest"))


def test_a_work_that_fails_says_why(workspace) -> None:
    place: Workspace = workspace("data.exchange=binance", "data.root=nowhere")
    with pytest.raises(ItbError, match=r"backtest: failed: .*itb data"):
        asyncio.run(asides.aside(place.config, "backtest", days=3))


def test_a_short_backtest_is_of_the_last_days_by_the_config_in_force(workspace) -> None:
    place: Workspace = workspace("strategy.buy_threshold=0.505", "strategy.sell_threshold=0.495")
    found = asides.WORKS["backtest"](place, days=5)  # as its process does; that one is begun from a chat elsewhere
    assert base64.b64decode(found["picture"]).startswith(b"\x89PNG")
    assert "BTC/USDT 1h, 5 days: " in found["text"]
    capsule = read_capsule(place.runs, "last")
    assert capsule.manifest["metrics"]["duration_days"] == pytest.approx(5, abs=0.2)
    assert capsule.manifest["strategy"]["buy_threshold"] == 0.505
    assert len(place.register.looks()) == 1


def test_studies_are_listed_with_progress_best_and_verdict(tmp_path) -> None:
    from itb.runs.optimize import Asked, optimize
    from itb.runs.studies import list_studies

    place = searched(tmp_path)
    assert list_studies(place).lines[0].endswith("yet: `itb optimize` begins one.")
    done = optimize(place, Asked(trials=4)).data["studies"][0]
    (told,) = asyncio.run(asides.aside(place.config, "studies", most=5))["studies"]
    assert (told["state"], told["progress"], told["judged"]) == ("finished", "4 of 4", done["verdict"]["word"])
    assert told["glance"]["best"] == done["best"]["values"][0]
    assert told["glance"]["trial"] == done["best"]["trial"]
    (folder,) = (place.runs / "studies").iterdir()
    (folder / "verdict.json").unlink()
    assert list_studies(place).data["studies"][0]["state"] == "running"  # this process works on it, and lives
    (folder / "journal.log").write_text("")
    assert list_studies(place).data["studies"][0]["state"] == "unreadable"
