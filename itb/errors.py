"""Every error itb raises for a person to read.

::

    ItbError
    ├── ConfigError    a setting: unknown key, wrong type, impossible combination
    ├── BarsError      market data: off the grid, out of order, missing, corrupt, not found
    ├── ModelError     a model or its file: missing, tampered, untrainable
    ├── FeatureError   a feature of a person's own: failed, or gave an array of the wrong shape
    ├── StrategyError  a strategy class: not found, not a strategy, failed while deciding
    ├── RunError       a run's capsule: not found, incomplete, not reproducible
    ├── GatewayError   an exchange or archive: refused, unreachable, nonsense in its answer
    ├── JournalError   the journal of orders: cannot be written, read or trusted
    └── ReconcileError journal and venue disagree in a way that a person must look at

A message names the thing, the value found, what was expected and the next step. The command line prints it as one
line and leaves with exit code 2. Parts refuse wrong arguments with plain ``ValueError``; whoever reads a config turns
that into a :class:`ConfigError` that names the key.
"""


class ItbError(Exception):
    """Root of the tree; catch it to catch everything itb says on purpose."""


class ConfigError(ItbError):
    """A setting cannot be used as it stands."""


class BarsError(ItbError):
    """Market data breaks a promise of :class:`itb.market.bars.Bars`, or is not there."""


class ModelError(ItbError):
    """A model cannot be trained, loaded or trusted."""


class FeatureError(ItbError):
    """A feature of a person's own fails, or does not give one row per bar and one column per name."""


class StrategyError(ItbError):
    """A strategy cannot be found or cannot be run."""


class RunError(ItbError):
    """A run's capsule cannot be read or compared."""


class GatewayError(ItbError):
    """An exchange or archive refused, failed, or answered nonsense."""


class JournalError(ItbError):
    """The journal of orders cannot be written, read or trusted; nothing is sent without it."""


class ReconcileError(ItbError):
    """Journal and venue disagree, and no rule says who is right."""
