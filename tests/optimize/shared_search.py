"""A worker on a shared study: run by test_postgres.py in a process of its own, never imported."""

import importlib
import json
import sys
import tempfile
import time
from pathlib import Path

from itb.optimize.search import Worker
from itb.optimize.storage import storage_of

sys.path.insert(0, str(Path(__file__).parent))
studies = importlib.import_module("studies")


def build(parameters):
    time.sleep(0.2)
    return studies.build(parameters)


if __name__ == "__main__":
    url, name, total = sys.argv[1:]
    folder = Path(tempfile.mkdtemp())
    searched = studies.search("random")
    opened = studies.desk(folder, searched, name, storage=storage_of(url, folder), is_shared=True, settle_s=0.1)
    own: list = []
    add = opened.add

    def counted(records):
        own.extend(records)
        add(records)

    opened.add = counted
    Worker(searched, opened, build).work(int(total))
    print(json.dumps({"own": len(own)}))
