import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from itb.errors import ModelError
from itb.mlmodels.boosting import LightGbm
from itb.mlmodels.walkforward import WalkForward

SCRIPT = Path(__file__).with_name("killed_run.py")
WALK = WalkForward(train_bars=200, refit_every=60, min_train_rows=50)


def run_and_kill(kills, folder, seed):
    command = [sys.executable, str(SCRIPT), str(kills), str(folder), str(seed)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout)


def test_a_walk_forward_killed_ten_times_resumes_to_the_same_scores(tmp_path):
    told = run_and_kill(10, tmp_path, seed=1)
    assert (told["lost"], told["wrong"]) == (0, 0)
    assert told["refitted"] == 22 - told["kept"]


@pytest.mark.soak
def test_a_walk_forward_killed_a_hundred_times_resumes_to_the_same_scores(tmp_path):
    told = run_and_kill(100, tmp_path, seed=2)
    assert (told["lost"], told["wrong"]) == (0, 0)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs pidfd_open (Linux)")
def test_workers_end_when_their_parent_is_killed(tmp_path):
    command = [sys.executable, str(SCRIPT), "workers", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = [os.pidfd_open(pid) for pid in json.loads(parent.stdout.readline())]
        parent.send_signal(signal.SIGKILL)
    assert len(workers) == 2
    for worker in workers:
        ended, _, _ = select.select([worker], [], [], 120)
        assert ended
        os.close(worker)


def test_a_dead_worker_is_an_error_that_says_so(table, tmp_path):
    import multiprocessing

    def kill_workers(done, total, what):
        if done:
            for child in multiprocessing.active_children():
                assert child.pid is not None
                os.kill(child.pid, signal.SIGKILL)

    with pytest.raises(ModelError, match=r"a worker process died \(exit code -9\) in refit \d+; if memory ran out"):
        WALK.run(table, LightGbm(rounds=200, min_data_in_leaf=20), tmp_path, workers=2, progress=kill_workers)
    assert not multiprocessing.active_children()
    assert not list(tmp_path.rglob("shared.*"))


def test_an_error_in_a_worker_comes_back_in_words(table, tmp_path):
    home = WALK.run(table, LightGbm(rounds=2), tmp_path).folder
    for folder in ("folds", "models"):
        for file in (home / folder).iterdir():
            file.unlink()
        (home / folder).rmdir()
    (home / "models").write_text("in the way")
    with pytest.raises(ModelError, match=r"refit \d: FileExistsError"):
        WALK.run(table, LightGbm(rounds=2), tmp_path, workers=2)
