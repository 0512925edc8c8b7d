"""A search to be killed: run by test_search.py in a process of its own, never imported."""

import importlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from itb.optimize.search import Worker

sys.path.insert(0, str(Path(__file__).parent))
studies = importlib.import_module("studies")

TOTAL = 40


class Slow:
    """A candidate that takes a while, so that a kill finds it at work."""

    def __init__(self, inner):
        self.inner = inner

    def trade(self, parameters, *, until_day=None):
        time.sleep(0.002)
        return self.inner.trade(parameters, until_day=until_day)


def build(parameters):
    time.sleep(0.01)
    return Slow(studies.build(parameters))


def work(folder: Path, sampler: str, *, is_shared: bool) -> None:
    searched = studies.search(sampler)
    opened = studies.desk(folder, searched, is_shared=is_shared)
    Worker(searched, opened, build).work(TOTAL)


def forked(folder: Path, sampler: str, *, is_shared: bool) -> int:
    child = os.fork()
    if not child:
        try:
            work(folder, sampler, is_shared=is_shared)
            os._exit(0)
        except BaseException:  # noqa: BLE001  (a child must end here)
            os._exit(3)
    return child


def kill_at_random_moments(folder: Path, sampler: str, workers: int, kills: int, seed: int) -> dict[str, object]:
    """Fork workers, kill -9 one at a time at random moments, again and again; then finish and compare."""
    moments = random.Random(seed)
    clean, torn = folder / "clean", folder / "torn"
    clean.mkdir()
    torn.mkdir()
    work(folder / "first", sampler, is_shared=False)  # imports what the sampler needs, which no child does again
    start = time.perf_counter()
    work(clean, sampler, is_shared=False)
    whole_s = time.perf_counter() - start
    lost = broken = done = 0
    places: list[Path] = []
    after: dict[int, object] = dict.fromkeys(range(TOTAL))
    while done < kills:
        if len(after) == TOTAL:  # a study that is full has nobody at work to be killed
            places.append(torn / f"{len(places)}")
            places[-1].mkdir()
        place = places[-1]
        children = [forked(place, sampler, is_shared=workers > 1) for _ in range(workers)]
        time.sleep(moments.uniform(0, whole_s))
        for child in children:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            broken += os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0
            done += os.WIFSIGNALED(status)
        before = {r.slot: r.values for r in studies.desk(place, studies.search(sampler)).records()}
        again = forked(place, sampler, is_shared=False)
        time.sleep(moments.uniform(0, whole_s / 4))
        os.kill(again, signal.SIGKILL)
        os.waitpid(again, 0)
        after = {r.slot: r.values for r in studies.desk(place, studies.search(sampler)).records()}
        lost += sum(after.get(slot, "gone") != values for slot, values in before.items())
    different = wrong = 0
    expected = studies.told(studies.desk(clean, studies.search(sampler)).records())
    for place in places:
        work(place, sampler, is_shared=False)
        records = studies.desk(place, studies.search(sampler)).records()
        wrong += [r.slot for r in records] != list(range(TOTAL))
        different += studies.told(records) != expected
    return {"kills": done, "lost": lost, "broken": broken, "wrong": wrong, "different": different, "of": len(places)}


if __name__ == "__main__":
    folder, sampler, workers, kills, seed = sys.argv[1:]
    print(json.dumps(kill_at_random_moments(Path(folder), sampler, int(workers), int(kills), int(seed))))
