"""Run benchmarks: ``python -m benchmarks [NAME ...] [--into PAGE]``, all of them without a name.

Options that are not known here, such as ``honesty --full``, go to the benchmark that is named.

Each runs in a process of its own, so that none measures what another left behind. ``--into`` also writes what was
printed into a Markdown page, between ``<!-- NAME -->`` and ``<!-- end -->``: figures in documentation come from here.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent
NAMES = tuple(sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py")))


def machine() -> str:
    """Describe where figures come from in one line."""
    cpus = Path("/proc/cpuinfo")
    models = re.findall(r"^model name\s*: (.*)$", cpus.read_text(), re.MULTILINE) if cpus.exists() else []
    model = models[0].strip() if models else platform.machine()
    return f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} cores, {model}"


def run(name: str, options: Sequence[str] = ()) -> str:
    """Run one benchmark, show its output as it comes, and give it back."""
    command = [sys.executable, "-u", str(FOLDER / f"bench_{name}.py"), *options]
    environment = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    said: list[str] = []
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            said.append(line)
    if process.returncode:
        raise SystemExit(f"bench_{name}.py ended with exit code {process.returncode}")
    return "".join(said)


def insert(page: str, name: str, output: str) -> str:
    """Put output between a page's markers; the page comes back unchanged where it has none.

    >>> print(insert("<!-- engine -->\\nold\\n<!-- end -->", "engine", "new"))
    <!-- engine -->
    ```text
    new
    ```
    <!-- end -->
    """
    block = f"<!-- {name} -->\n```text\n{output.strip()}\n```\n<!-- end -->"
    return re.sub(rf"<!-- {name} -->.*?<!-- end -->", lambda _: block, page, flags=re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Time itb beside its peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)}; all without a name")
    parser.add_argument("--into", type=Path, metavar="PAGE", help="also write the figures into this Markdown page")
    asked, options = parser.parse_known_args()
    names = [name.removeprefix("bench_") for name in asked.names] or list(NAMES)
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        parser.error(f"no benchmark named {unknown[0]!r}; there are {', '.join(NAMES)}")
    if options and len(names) != 1:
        parser.error(f"name one benchmark to give it {' '.join(options)}")
    print(machine())
    for name in names:
        print(f"\n== {name}", flush=True)
        output = run(name, options)
        if asked.into:
            page = asked.into.read_text()
            asked.into.write_text(insert(page, name, f"{machine()}\n\n{output}"))


if __name__ == "__main__":
    main()
