import errno
import os
import subprocess
import sys

import optuna
import pytest

from itb.optimize.journal import JournalFile, journal_storage


def test_every_torn_end_is_cut_before_the_next_line_is_written(tmp_path):
    whole = JournalFile(tmp_path / "whole.log")
    whole.append_logs([{"n": 1, "text": "first"}, {"n": 2}])
    content = (tmp_path / "whole.log").read_bytes()
    second = content.index(b"\n") + 1
    for cut in range(len(content) + 1):
        file = tmp_path / f"{cut}.log"
        file.write_bytes(content[:cut])
        journal = JournalFile(file)
        kept = cut >= second
        assert [log["n"] for log in journal.read_logs(0)] == ([1, 2] if cut == len(content) else [1] if kept else [])

        journal.append_logs([{"n": 3}])

        assert [log["n"] for log in JournalFile(file).read_logs(0)][-1] == 3
        assert [log["n"] for log in journal.read_logs(0)] == [log["n"] for log in JournalFile(file).read_logs(0)]


def test_what_was_cut_is_kept_beside_the_file(tmp_path):
    file = tmp_path / "journal.log"
    file.write_bytes(b'{"n":1}\n{"n":2,"torn')

    JournalFile(file).append_logs([{"n": 3}])

    assert (tmp_path / "journal.log.torn").read_bytes() == b'{"n":2,"torn\n'


def test_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    file = tmp_path / "journal.log"
    journal = JournalFile(file)
    journal.append_logs([{"n": 1}])

    def full(_number):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        journal.append_logs([{"n": 2}])
    monkeypatch.undo()

    assert file.read_bytes() == b'{"n":1}\n'
    journal.append_logs([{"n": 3}])
    assert [log["n"] for log in journal.read_logs(0)] == [1, 3]


FREED = """
import os, resource, sys
from pathlib import Path
from itb.optimize.journal import JournalFile
journal = JournalFile(Path(sys.argv[1]))
journal.append_logs([{"n": 1}])
cut = os.truncate
def freed(file, size):
    cut(file, size)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
os.truncate = freed
resource.setrlimit(resource.RLIMIT_FSIZE, (12, resource.RLIM_INFINITY))
try:
    journal.append_logs([{"n": 2, "long": "x" * 50}])
except OSError as error:
    print(error.strerror)
"""


def test_disk_that_is_freed_at_once_gets_no_rest_of_a_refused_line(tmp_path):
    file = tmp_path / "journal.log"

    told = subprocess.run([sys.executable, "-c", FREED, str(file)], capture_output=True, text=True, check=True)

    assert told.stdout == "File too large\n"
    assert file.read_bytes() == b'{"n":1}\n'


def test_reading_from_a_number_gives_the_rest(tmp_path):
    journal = JournalFile(tmp_path / "journal.log")
    journal.append_logs([{"n": n} for n in range(5)])

    assert [log["n"] for log in journal.read_logs(3)] == [3, 4]
    assert [log["n"] for log in JournalFile(tmp_path / "journal.log").read_logs(3)] == [3, 4]
    assert list(journal.read_logs(5)) == []


def test_optuna_reads_what_another_process_wrote(tmp_path):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    one = optuna.create_study(storage=journal_storage(tmp_path / "j.log"), study_name="s")
    other = optuna.load_study(storage=journal_storage(tmp_path / "j.log"), study_name="s")

    one.add_trial(optuna.trial.create_trial(value=1.0))
    other.add_trial(optuna.trial.create_trial(value=2.0))

    assert [trial.value for trial in one.trials] == [trial.value for trial in other.trials] == [1.0, 2.0]
