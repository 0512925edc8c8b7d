"""A study and a journal that several processes share through a real PostgreSQL, where one can be started."""

import json
import multiprocessing
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from itb.errors import RunError
from itb.live.journal.migrations import STEPS
from itb.live.journal.store import Journal, address_of
from itb.optimize.storage import storage_of

SCRIPT = Path(__file__).with_name("shared_search.py")


def server_programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    program = shutil.which("initdb")
    return None if program is None else Path(program).parent


@pytest.fixture(scope="module")
def postgres():
    """URL of a server of our own in a folder of its own, stopped when the tests are over."""
    programs = server_programs()
    if programs is None:
        pytest.skip("no PostgreSQL on this machine: apt-get install postgresql")
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install itb[postgres]")
    user = {}
    if os.geteuid() == 0:  # the server refuses to run as root
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL refuses to run as root, and there is no user postgres")
        user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="itb-postgres-", dir="/tmp"))
    if user:
        os.chown(folder, user["user"], user["group"])
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(folder)}
    common = {"env": environment, "cwd": folder, "capture_output": True, "text": True, **user}
    made = subprocess.run(
        [programs / "initdb", "-D", folder / "data", "-U", "itb", "-A", "trust", "-N"], check=False, **common
    )
    assert made.returncode == 0, made.stderr
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync=off"
    server = subprocess.Popen(
        [programs / "postgres", "-D", folder / "data", *options.split()],
        env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **user,
    )  # fmt: skip
    try:
        _wait(programs, port, common)
        yield f"postgresql://itb@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)  # "fast": sessions that are still open are ended
        server.wait(timeout=120)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(programs, port, common):
    for _ in range(100):
        ready = subprocess.run([programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port)], check=False, **common)
        if ready.returncode == 0:
            return
        time.sleep(0.1)
    pytest.fail("PostgreSQL did not come up within 10 s")


def helper(url, name, total):
    command = [sys.executable, str(SCRIPT), url, name, str(total)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-2000:]
    return json.loads(out)


def test_two_workers_share_a_study_and_double_nothing(postgres, studies, tmp_path):
    told = [ended(process) for process in [helper(postgres, "shared", 40), helper(postgres, "shared", 40)]]

    opened = studies.desk(tmp_path, studies.search("random"), "shared", storage=storage_of(postgres, tmp_path))
    records = opened.records()
    opened.close()
    assert [record.slot for record in records] == list(range(40))
    assert sum(one["own"] for one in told) >= 40
    assert all(one["own"] > 0 for one in told)
    assert studies.told(records) == studies.told(studies.run(tmp_path / "alone", 40, "random"))


def test_worker_that_was_killed_leaves_its_block_to_the_next(postgres, studies, tmp_path):
    first = helper(postgres, "killed", 40)
    time.sleep(2)
    first.kill()
    first.communicate()

    ended(helper(postgres, "killed", 40))

    opened = studies.desk(tmp_path, studies.search("random"), "killed", storage=storage_of(postgres, tmp_path))
    slots = [record.slot for record in opened.records()]
    opened.close()
    assert slots == list(range(40))


def test_server_that_is_not_there_is_told_without_the_password(tmp_path):
    pytest.importorskip("psycopg")
    with pytest.raises(RunError) as refused:
        storage_of("postgresql://me:geheim@127.0.0.1:1/none", tmp_path)

    assert "storage postgresql://127.0.0.1:1/none: cannot be opened" in str(refused.value)
    assert "geheim" not in str(refused.value)


def test_a_new_journal_opened_by_several_at_once_is_whole(postgres):
    forked = multiprocessing.get_context("fork")
    gate = forked.Barrier(3, timeout=120)

    def open_one() -> None:
        gate.wait()
        Journal(postgres).close()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pytest's workers have threads; these children fork none
        openers = [forked.Process(target=open_one) for _ in range(3)]
        for one in openers:
            one.start()
    for one in openers:
        one.join(120)
    assert [one.exitcode for one in openers] == [0, 0, 0]
    engine = create_engine(address_of(postgres))
    with engine.begin() as connection:
        assert connection.execute(text("SELECT version FROM schema_version")).scalars().all() == [len(STEPS)]
    engine.dispose()
