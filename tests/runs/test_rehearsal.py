"""The practice exchange of an earlier life is found again, and no other one in its place."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from itb.runs.rehearsal import find_exchange

PID = 4_711


class Slow(BaseHTTPRequestHandler):
    """Answers as an exchange of process ``PID`` does, after longer than a client on an idle machine would wait."""

    def do_GET(self) -> None:
        threading.Event().wait(2.2)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"process": PID}).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """Where a slow exchange listens."""
    with HTTPServer(("127.0.0.1", 0), Slow) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_exchange_that_takes_long_to_answer_is_not_given_up(url: str, tmp_path: Path) -> None:
    """Its orders would be put aside with the journal, and the bot would begin anew."""
    note = tmp_path / "practice.json"
    note.write_text(json.dumps({"url": url, "pid": PID, "start_ms": 0}))
    found = find_exchange(tmp_path)
    assert found is not None
    note.write_text(json.dumps({"url": url, "pid": PID + 1, "start_ms": 0}))
    assert find_exchange(tmp_path) is None, "another exchange has got the address of one that is gone"
