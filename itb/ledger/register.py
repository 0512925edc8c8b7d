"""The register: every look at a performance figure, kept for ever.

It is one SQLite file rather than a text log: its transactions survive ``kill -9`` and power loss at any moment without
a repair step, several processes may append at once, and the sealing of a hold-out ("if nobody has, then I") needs
one transaction anyway. Triggers refuse to change or delete a row.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from itb.errors import RunError

_TABLES = {
    "looks": "time INTEGER NOT NULL, run_id TEXT NOT NULL, command TEXT NOT NULL, market TEXT NOT NULL, "
    "symbol TEXT NOT NULL, timeframe TEXT NOT NULL, from_ms INTEGER NOT NULL, to_ms INTEGER NOT NULL, "
    "fingerprint TEXT NOT NULL, config_hash TEXT NOT NULL, metrics TEXT NOT NULL, holdout_seen INTEGER NOT NULL, "
    "trials INTEGER NOT NULL",
    "seals": "market TEXT NOT NULL UNIQUE, from_ms INTEGER NOT NULL, time INTEGER NOT NULL, run_id TEXT NOT NULL",
    "openings": "market TEXT NOT NULL, from_ms INTEGER NOT NULL, time INTEGER NOT NULL, run_id TEXT NOT NULL, "
    "command TEXT NOT NULL",
}
_WAIT_S = 60.0


def market_of(symbol: str, *, synthetic_seed: int | None = None) -> str:
    """Name the market that looks are counted by: the base asset, whatever the quote, venue or timeframe.

    A built-in market is none of the real coins it is named after: each seed makes another.

    >>> market_of("BTC/USDT:USDT"), market_of("BTC/EUR"), market_of("BTC/USDT", synthetic_seed=7)
    ('BTC', 'BTC', 'BTC (synthetic, seed 7)')
    """
    base = symbol.split("/", maxsplit=1)[0]
    return base if synthetic_seed is None else f"{base} (synthetic, seed {synthetic_seed})"


@dataclass(frozen=True)
class Look:
    """One look at performance figures of one market over ``[from_ms, to_ms)`` (UTC milliseconds).

    ``market`` comes from :func:`market_of`; ``time`` is when; ``fingerprint`` tells which data, ``config_hash`` which
    settings; ``metrics`` holds the headline figures, ``None`` where not defined (NaN is kept as ``None``); ``trials``
    counts the settings whose figures were compared to arrive at this one; ``holdout_seen`` says that the range reached
    into a sealed hold-out.
    """

    time: int
    run_id: str
    command: str
    market: str
    symbol: str
    timeframe: str
    from_ms: int
    to_ms: int
    fingerprint: str
    config_hash: str
    metrics: Mapping[str, float | int | None] = field(default_factory=dict)
    holdout_seen: bool = False
    trials: int = 1

    def __post_init__(self) -> None:
        if not self.from_ms < self.to_ms:
            raise ValueError(f"a look must cover time: from_ms {self.from_ms} is not before to_ms {self.to_ms}")
        if self.trials < 1:
            raise ValueError(f"trials must be at least 1, was {self.trials}")


@dataclass(frozen=True)
class Seal:
    """The hold-out of a market: from ``from_ms`` on (UTC milliseconds), fixed at ``time`` by run ``run_id``."""

    market: str
    from_ms: int
    time: int
    run_id: str


@dataclass(frozen=True)
class Opening:
    """A run that was allowed into the hold-out which began at ``from_ms``."""

    market: str
    from_ms: int
    time: int
    run_id: str
    command: str


@dataclass(frozen=True)
class Register:
    """The register kept in ``file``, which is created on the first entry; methods may be called by any process.

    Entries are on disk when a method returns. Raises :class:`itb.errors.RunError` where the file cannot be used.

    >>> import tempfile
    >>> register = Register(Path(tempfile.mkdtemp()) / "register.sqlite")
    >>> register.add(Look(5, "r1", "backtest", "BTC", "BTC/USDT", "1h", 100, 200, "f", "c", {"sharpe": 1.2}))
    >>> [look.run_id for look in register.looks("BTC", 150, 300)], register.looks("BTC", 200, 300)
    (['r1'], [])
    """

    file: Path

    def add(self, *looks: Look) -> None:
        """Append looks, all or none; call this before the figures are shown."""
        rows = [{**vars(look), "metrics": _to_json(look.metrics)} for look in looks]
        with self._writing() as database:
            for row in rows:
                _insert(database, "looks", row)

    def count_up(self, look: Look) -> None:
        """Enter those trials of a run that were not entered before; ``look.trials`` is how many it has by now.

        A run is known by market, ``run_id`` and ``command``. Several processes may count the same run up: each of its
        trials is entered once.
        """
        known = "SELECT COALESCE(SUM(trials), 0) FROM looks WHERE market = ? AND run_id = ? AND command = ?"
        with self._writing() as database:
            (counted,) = database.execute(known, (look.market, look.run_id, look.command)).fetchone()
            if look.trials > counted:
                row = {**vars(look), "metrics": _to_json(look.metrics), "trials": look.trials - counted}
                _insert(database, "looks", row)

    def looks(self, market: str | None = None, from_ms: int | None = None, to_ms: int | None = None) -> list[Look]:
        """Give the looks at ``market`` (every market without one) whose range overlaps ``[from_ms, to_ms)``, in order.

        An end that is ``None`` is open.
        """
        where = "(:market IS NULL OR market = :market) AND (:start IS NULL OR to_ms > :start)"
        where += " AND (:stop IS NULL OR from_ms < :stop)"
        rows = self._rows("looks", where, {"market": market, "start": from_ms, "stop": to_ms})
        return [
            Look(**{**row, "metrics": json.loads(row["metrics"]), "holdout_seen": bool(row["holdout_seen"])})
            for row in rows
        ]

    def seal(self, market: str, from_ms: int, *, time: int, run_id: str) -> Seal:
        """Fix the hold-out of ``market`` if that was not done before; give the one that holds, whoever fixed it."""
        standing = self.sealed(market)
        if standing is None:
            with self._writing() as database:
                row = {"market": market, "from_ms": from_ms, "time": time, "run_id": run_id}
                _insert(database, "seals", row, or_ignore=True)
            standing = self.sealed(market)
            assert standing is not None
        return standing

    def sealed(self, market: str) -> Seal | None:
        """Give the hold-out of ``market``, ``None`` where none was fixed."""
        rows = self._rows("seals", "market = :market", {"market": market})
        return Seal(**rows[0]) if rows else None

    def add_opening(self, opening: Opening) -> None:
        """Record for ever that a run was let into a hold-out; call this before it reads a bar of it."""
        with self._writing() as database:
            _insert(database, "openings", vars(opening))

    def holdout_openings(self, market: str | None = None) -> list[Opening]:
        """Give the runs that were let into the hold-out of ``market`` (of every market without one), in order."""
        where = "(:market IS NULL OR market = :market)"
        return [Opening(**row) for row in self._rows("openings", where, {"market": market})]

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._told(), closing(self._connect(create=True)) as database:
            database.execute("BEGIN IMMEDIATE")
            for name, columns in _TABLES.items():
                database.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns})")
                for change in ("UPDATE", "DELETE"):
                    database.execute(
                        f"CREATE TRIGGER IF NOT EXISTS {name}_refuse_{change.lower()} BEFORE {change} ON {name} "
                        f"BEGIN SELECT RAISE(ABORT, 'the register keeps every entry'); END"
                    )
            yield database
            database.execute("COMMIT")

    def _rows(self, table: str, where: str, values: Mapping[str, object]) -> list[dict[str, Any]]:
        if not self.file.exists():
            return []
        with self._told(), closing(self._connect()) as database:
            known = database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
            if known is None:
                return []
            query = f"SELECT * FROM {table} WHERE {where} ORDER BY rowid"  # noqa: S608  (names are this file's own)
            return [dict(row) for row in database.execute(query, values)]

    def _connect(self, *, create: bool = False) -> sqlite3.Connection:
        if create:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self.file, timeout=_WAIT_S, isolation_level=None)
        database.row_factory = sqlite3.Row
        database.execute("PRAGMA synchronous = EXTRA")
        return database

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise RunError(
                f"{self.file}: the register cannot be used ({error}); expected an SQLite file that this user may "
                f"write. Free the disk or the lock, or restore the file from a backup; it counts every look, so do "
                f"not delete it."
            ) from error


def _to_json(metrics: Mapping[str, float | int | None]) -> str:
    finite = {name: value if value is None or math.isfinite(value) else None for name, value in metrics.items()}
    return json.dumps(finite, sort_keys=True)


def _insert(database: sqlite3.Connection, table: str, row: Mapping[str, object], *, or_ignore: bool = False) -> None:
    names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
    verb = "INSERT OR IGNORE" if or_ignore else "INSERT"
    database.execute(f"{verb} INTO {table} ({names}) VALUES ({values})", row)
