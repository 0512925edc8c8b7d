"""The study itself: 500 trials by TPE, durable, and a 50 x 50 grid, with cached scores on a year of minutes."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import show
