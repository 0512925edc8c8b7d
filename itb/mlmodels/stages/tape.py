"""The scores of a column so far, in one checked file: what stages that learn from them go on with while a bot runs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from itb.errors import ModelError
from itb.mlmodels.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from itb.market.bars import FloatArray, IntArray
    from itb.mlmodels.stages.column import ScoreColumn

NAME = "tape"


@dataclass(frozen=True, eq=False)
class ScoreTape:
    """Out-of-sample scores by the open times of their bars, every bit of them.

    >>> import tempfile
    >>> from pathlib import Path
    >>> tape = ScoreTape("up_linear", np.array([0, 60_000]), np.array([np.nan, 0.25]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tape.save(Path(folder))
    ...     ScoreTape.load(Path(folder)).scores.tolist()
    [nan, 0.25]
    """

    column: str
    times: IntArray
    scores: FloatArray

    @classmethod
    def of(cls, column: ScoreColumn) -> ScoreTape:
        """Take the scores of a column as the stages so far have left it."""
        return cls(column.name, column.open_time, column.scores)

    def save(self, folder: Path) -> None:
        """Write it into ``folder``, in place of the one that is there."""
        body = self.times.astype("<i8").tobytes() + self.scores.astype("<f8").tobytes()
        head = {"column": self.column, "rows": len(self.times), "sha256": hashlib.sha256(body).hexdigest()}
        write_whole(folder / NAME, json.dumps(head).encode() + b"\n" + body)

    @classmethod
    def load(cls, folder: Path) -> ScoreTape:
        """Read it back; raise :class:`itb.errors.ModelError` for a file that is missing, altered or something else."""
        path = folder / NAME
        try:
            first, _, body = path.read_bytes().partition(b"\n")
            head = json.loads(first)
            column, rows, told = str(head["column"]), int(head["rows"]), head["sha256"]
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path}: not the scores of a column ({error})") from None
        if hashlib.sha256(body).hexdigest() != told or len(body) != 16 * rows:
            raise ModelError(f"{path}: the scores were altered (sha256 differs)")
        times = np.frombuffer(body, "<i8", rows).astype(np.int64)
        return cls(column, times, np.frombuffer(body, "<f8", rows, 8 * rows).astype(np.float64))
