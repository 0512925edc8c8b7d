"""Score files that `itb predict` and `itb walkforward` wrote, as sources that a data feed can carry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from itb.datafeeds.files import IN_SAMPLE
from itb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from itb.mlmodels.retrospective import RetrospectiveScores
    from itb.mlmodels.scores import WalkForwardScores

_BESIDE = ("_model", IN_SAMPLE)


def read_score_file(path: Path) -> Mapping[str, WalkForwardScores | RetrospectiveScores]:
    """Read every score column; those of a file that was written in sample are retrospective: a backtest refuses them.

    Raises :class:`itb.errors.ConfigError` for what is no file of scores.
    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    from itb.mlmodels.retrospective import RetrospectiveScores
    from itb.mlmodels.scores import WalkForwardScores

    try:
        table = pyarrow.csv.read_csv(path) if path.suffix == ".csv" else pq.read_table(path)
        times = table["timestamp"].cast(pa.timestamp("ms", "UTC")).cast(pa.int64()).to_numpy()
        names = [name for name in table.column_names if name != "timestamp" and not name.endswith(_BESIDE)]
        values = {name: np.array(table[name].cast(pa.float64()).to_numpy(), dtype=np.float64) for name in names}
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise ConfigError(f"{path}: not a file of scores ({error}); `itb predict` writes one") from None
    found: dict[str, WalkForwardScores | RetrospectiveScores] = {}
    for name, scores in values.items():
        kind = RetrospectiveScores if f"{name}{IN_SAMPLE}" in table.column_names else WalkForwardScores
        found[name] = kind(name, -np.inf, np.inf, times, scores)
    return found
