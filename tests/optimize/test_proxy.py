"""A study behind Optuna's gRPC proxy, where its two packages are installed."""

import importlib.util
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from itb.errors import RunError
from itb.optimize.storage import storage_of

SCRIPT = Path(__file__).with_name("shared_search.py")
SERVER = """
import sys, optuna
storage = optuna.storages.RDBStorage(sys.argv[1])
optuna.storages.run_grpc_proxy_server(storage, host="127.0.0.1", port=int(sys.argv[2]))
"""

needs_grpc = pytest.mark.skipif(
    importlib.util.find_spec("grpc") is None, reason="gRPC is not installed: pip install grpcio protobuf"
)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@needs_grpc
def test_two_workers_share_a_study_behind_a_proxy(studies, tmp_path):
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, f"sqlite:///{tmp_path / 'study.db'}", str(port)], stderr=subprocess.DEVNULL
    )
    url = f"grpc://127.0.0.1:{port}"
    try:
        both = [
            subprocess.Popen([sys.executable, str(SCRIPT), url, "shared", "20"], stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        own = [json.loads(process.communicate(timeout=300)[0])["own"] for process in both]
        opened = studies.desk(tmp_path, studies.search("random"), "shared", storage=storage_of(url, tmp_path))
        records = opened.records()
        server.kill()
        with pytest.raises(RunError, match="study 'shared': its storage cannot be used"):
            opened.add(records[:1])
    finally:
        server.kill()
        server.wait()

    assert [record.slot for record in records] == list(range(20))
    assert sum(own) >= 20
    assert all(own)


@needs_grpc
def test_proxy_that_does_not_answer_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr("itb.optimize.storage._ANSWER_S", 0.2)

    with pytest.raises(RunError, match=r"storage grpc://127.0.0.1:1: cannot be opened .*a server that answers"):
        storage_of("grpc://127.0.0.1:1", tmp_path)


def test_packages_that_a_proxy_needs_are_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "grpc", None)

    with pytest.raises(RunError, match=r"storage grpc://host:13000: needs two packages more: pip install grpcio"):
        storage_of("grpc://host:13000", tmp_path)
