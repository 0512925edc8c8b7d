"""What every test shares: fixed seeds, no network beyond this machine, real data where it is at hand.

Tests of the rooms in ``BY_THE_CLOCK`` drive whole processes, sockets and threads, and wait for them by the clock. One
that fails there is run a second time, and the summary says so: a machine that stood still for a minute fails it once,
a defect fails it twice. All others have one try, and the long tests of ``make soak`` too.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent
BY_THE_CLOCK = ("tests/live/", "tests/runs/", "tests/datafeeds/", "tests/optimize/", "tests/mlmodels/test_kill.py")

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# The same examples in every run; `make soak` tries many more, chosen anew each time.
settings.register_profile("test", deadline=None, derandomize=True, database=None, print_blob=True)
settings.register_profile("soak", deadline=None, max_examples=2_000, print_blob=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--passed", type=Path, help="file of test names: those in it are left out, those that pass added")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("soak" if config.getoption("markexpr") == "soak" else "test")
    passed: Path | None = config.getoption("--passed")
    if passed is not None:
        config.pluginmanager.register(_Resuming(passed, is_worker=hasattr(config, "workerinput")))


class _Resuming:
    """Leave out what has passed before; the long tests can be interrupted and go on."""

    def __init__(self, file: Path, *, is_worker: bool) -> None:
        self.file, self.is_worker = file, is_worker
        self.before = set(file.read_text().splitlines()) if file.exists() else set()

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        done = [item for item in items if item.nodeid in self.before]
        items[:] = [item for item in items if item.nodeid not in self.before]
        config.hook.pytest_deselected(items=done)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed and not self.is_worker:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a") as names:
                names.write(f"{report.nodeid}\n")


def real_data_dir() -> Path:
    """Where real market data may lie: ``ITB_DATA_DIR``, or ``shared/data`` beside the repository."""
    return Path(os.environ.get("ITB_DATA_DIR", ROOT.parent / "shared" / "data"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith(BY_THE_CLOCK) and not item.get_closest_marker("soak"):
            item.add_marker(pytest.mark.flaky(reruns=1, reruns_delay=5))
    folder = real_data_dir()
    if folder.is_dir():
        return
    absent = pytest.mark.skip(reason=f"no real data: {folder} is not a folder; set ITB_DATA_DIR to run this test")
    for item in items:
        if item.get_closest_marker("real"):
            item.add_marker(absent)


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Give the path of a real data file (``"binance/BTCUSDT-1h.parquet"``), or skip and say which one is absent."""

    def find(name: str) -> Path:
        path = real_data_dir() / name
        if not path.exists():
            pytest.skip(f"no real data: {path} is absent; set ITB_DATA_DIR to run this test")
        return path

    return find


@pytest.fixture(autouse=True, scope="session")
def only_this_machine() -> Iterator[None]:
    """Refuse every connection and name look-up that would leave this machine."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def connect_here(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple):
            _refuse_elsewhere(address[0])
        connect(self, address)

    def look_up_here(host: Any, *args: Any, **kwargs: Any) -> Any:
        _refuse_elsewhere(host)
        return look_up(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect_here)
        patch.setattr(socket, "getaddrinfo", look_up_here)
        yield


def _refuse_elsewhere(host: str | bytes | None) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if name in {None, "", "localhost"}:
        return
    try:
        here = ipaddress.ip_address(str(name)).is_loopback
    except ValueError:
        here = False
    if not here:
        raise OSError(f"tests talk to this machine only, not to {name}")
