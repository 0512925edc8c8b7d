"""A feature from a person's own file: whatever it does wrong is told in one line that names it."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from itb.errors import FeatureError, ItbError
from itb.indicators.feature import ColumnFamily, Feature, columns_of
from itb.market.bars import Bars, FloatArray


@dataclass(frozen=True)
class OwnFeature(ColumnFamily):
    """A feature that somebody else wrote, under the name and with the settings of the config.

    Two are equal that have the same name and settings. Raises :class:`itb.errors.FeatureError` where the feature
    fails, or gives an array of another shape than its names say.
    """

    family: str
    settings: tuple[tuple[str, object], ...]
    feature: Feature = field(repr=False, compare=False)

    @classmethod
    def of(cls, kind: type, family: str, /, **settings: Any) -> OwnFeature:
        """Build a feature and see that it keeps the protocol; raise ``ValueError`` where it does not."""
        try:
            feature = kind(**settings)
            names, warmup = tuple(feature.names), feature.warmup
        except (ValueError, ItbError):
            raise
        except Exception as error:  # whatever a person's class raises is told, not swallowed
            raise ValueError(_told(family, error)) from error
        wrong = ""
        if not names or not all(isinstance(name, str) and name for name in names):
            wrong = f"names must be a tuple of column names, was {names!r}"
        elif not isinstance(warmup, int) or isinstance(warmup, bool) or warmup < 0:
            wrong = f"warmup must be a number of bars, 0 or more, was {warmup!r}"
        elif not callable(feature):
            wrong = "it cannot be called with bars; define __call__(self, bars)"
        if wrong:
            raise ValueError(f"{family}: {wrong}")
        return cls(family, tuple(settings.items()), feature)

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(self.feature.names)

    @property
    def warmup(self) -> int:
        """How many earlier bars decide a value, over all columns."""
        return self.feature.warmup

    def columns(self, bars: Bars) -> Iterator[FloatArray]:
        """Compute the columns one by one."""
        try:
            yield from columns_of(self.feature, bars)
        except ItbError:
            raise
        except Exception as error:  # as above
            raise FeatureError(_told(self.family, error)) from error


def _told(family: str, error: Exception) -> str:
    """Name error and line: the innermost one in the person's own file, which lies outside this package."""
    package = str(Path(__file__).parent.parent)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(package)]
    stem = family.partition(":")[0].removesuffix(".py")
    own = [frame for frame in frames if Path(frame.filename).stem == stem]
    where = f" (in {own[-1].name}, {Path(own[-1].filename).name} line {own[-1].lineno})" if own else ""
    return f"{family}: {type(error).__name__}: {error}{where}"
