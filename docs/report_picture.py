"""Take a picture of a report with a headless browser: ``python docs/report_picture.py runs/<id>/report.html``."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--virtual-time-budget=20000",
)


def main() -> int:
    parser = argparse.ArgumentParser(description="Take a picture of a report with a headless browser.")
    parser.add_argument("report", type=Path, help="the report.html of a run")
    parser.add_argument("-o", "--out", type=Path, default=Path("docs/assets/report.png"))
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=2090)
    parser.add_argument("--theme", choices=("light", "dark"), default="light")
    asked = parser.parse_args()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"no browser found; install one of {', '.join(BROWSERS)}", file=sys.stderr)
        return 2
    if not asked.report.is_file():
        print(f"{asked.report}: no such report; `itb backtest` writes one and names it", file=sys.stderr)
        return 2
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    address = f"{asked.report.resolve().as_uri()}?theme={asked.theme}"
    with tempfile.TemporaryDirectory() as profile:
        size = f"--window-size={asked.width},{asked.height}"
        options = [*QUIET, f"--user-data-dir={profile}", size, f"--screenshot={asked.out.resolve()}"]
        asked.out.unlink(missing_ok=True)
        subprocess.run([browser, *options, address], check=True, capture_output=True, timeout=120)  # noqa: S603  # own list
    if not asked.out.is_file():
        print(f"{browser} took no picture of {asked.report}", file=sys.stderr)
        return 1
    print(asked.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
