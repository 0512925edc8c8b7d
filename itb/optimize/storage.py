"""Where studies are kept: the project's own journal, or a database that several machines share."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from itb.errors import RunError

if TYPE_CHECKING:
    from pathlib import Path

    import optuna

_ANSWER_S = 10


def storage_of(url: str, folder: Path) -> optuna.storages.BaseStorage:
    """Open the journal of a folder, or the database of a URL (``grpc://host:port`` is Optuna's proxy).

    Raises :class:`RunError` where the URL cannot be used; a password in it is never repeated.
    """
    if not url:
        from itb.optimize.journal import journal_storage

        return journal_storage(folder / "journal.log")

    scheme, _, rest = url.partition("://")
    try:
        if scheme == "grpc":
            return _proxy(rest)
        if scheme == "postgresql":
            url = f"postgresql+psycopg://{rest}"
        return _database(url)
    except Exception as error:  # noqa: BLE001  (drivers raise what they like; their text may repeat a password)
        where = rest.rpartition("@")[2]
        if isinstance(error, ModuleNotFoundError) and scheme == "grpc":
            raise RunError(f"storage grpc://{where}: needs two packages more: pip install grpcio protobuf") from None
        cause = str(error).splitlines()[0].replace(rest, where)
        raise RunError(
            f"storage {scheme}://{where}: cannot be opened ({type(error).__name__}: {cause}); expected a URL such as "
            f"sqlite:///study.db or postgresql://user@host/database (needs itb[postgres]), and a server that answers"
        ) from None


def _proxy(address: str) -> optuna.storages.BaseStorage:
    """Speak to Optuna's proxy; it answers when it is first asked."""
    import warnings

    import optuna

    host, _, port = address.partition(":")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        proxy = optuna.storages.GrpcStorageProxy(host=host, port=int(port or 13000))
    proxy.wait_server_ready(timeout=_ANSWER_S)
    return proxy


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
