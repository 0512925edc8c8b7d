"""Where studies are kept: the project's own journal, or a database that several machines share."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from itb.errors import RunError

if TYPE_CHECKING:
    from pathlib import Path

    import optuna


def storage_of(url: str, folder: Path) -> optuna.storages.BaseStorage:
    """Open the journal of a folder, or the database of a URL (``grpc://host:port`` is Optuna's proxy).

    Raises :class:`RunError` where the URL cannot be used; a password in it is never repeated.
    """
    if not url:
        from itb.optimize.journal import journal_storage

        return journal_storage(folder / "journal.log")
    import optuna

    scheme, _, rest = url.partition("://")
    try:
        if scheme == "grpc":
            host, _, port = rest.partition(":")
            return optuna.storages.GrpcStorageProxy(host=host, port=int(port or 13000))
        if scheme == "postgresql":
            url = f"postgresql+psycopg://{rest}"
        return _database(url)
    except Exception as error:  # noqa: BLE001  (drivers raise what they like; their text may repeat a password)
        where = rest.rpartition("@")[2]
        cause = str(error).splitlines()[0].replace(rest, where)
        raise RunError(
            f"storage {scheme}://{where}: cannot be opened ({type(error).__name__}: {cause}); expected a URL such as "
            f"sqlite:///study.db or postgresql://user@host/database (needs itb[postgres]), and a server that answers"
        ) from None


def _database(url: str) -> optuna.storages.RDBStorage:
    """Open a database; where several workers come first at once, one makes the tables and the others try again."""
    import optuna
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    for wait_s in (0.2, 0.5, 1.0):
        try:
            return optuna.storages.RDBStorage(url)
        except (IntegrityError, ProgrammingError):
            time.sleep(wait_s)
    return optuna.storages.RDBStorage(url)
