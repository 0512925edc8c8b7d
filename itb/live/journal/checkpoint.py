"""A checkpoint's text: a book as JSON, in a layout that names the code and the rules that made it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache

from pydantic import TypeAdapter

from itb import __version__
from itb.live.journal.store import Journal
from itb.live.orders.book import Book
from itb.live.orders.book_state import BookState
from itb.live.orders.rules import Rules

EVERY = 1_000
"""Events from one checkpoint to the next, at least."""


@dataclass(frozen=True)
class Checkpoint:
    """What the first events of a journal came to: the book, and by name what else was kept of them."""

    book: BookState
    parts: dict[str, str]


@cache
def _adapter() -> TypeAdapter[Checkpoint]:
    return TypeAdapter(Checkpoint)


@cache
def layout_of(rules: Rules, keep: int) -> str:
    """Name the shape of a checkpoint, its itb and the rules by which its book was made: with others it is of no use.

    >>> layout_of(Rules(), 500) == layout_of(Rules(margin_ms=1), 500)
    False
    """
    shape = json.dumps(_adapter().json_schema(), sort_keys=True)
    return hashlib.sha256(f"{__version__}\n{shape}\n{rules}\n{keep}".encode()).hexdigest()


def text_of(book: Book, parts: dict[str, str]) -> str:
    """Write a book and what else is kept as JSON; every digit of every number is in it."""
    return _adapter().dump_json(Checkpoint(BookState.of(book), parts)).decode()


def read(text: str, book: Book) -> dict[str, str]:
    """Write what a text says into an empty book, and give the parts."""
    checkpoint: Checkpoint = _adapter().validate_json(text)
    checkpoint.book.write(book)
    return checkpoint.parts


def save(journal: Journal, book: Book, parts: dict[str, str]) -> None:
    """Write a checkpoint of a book that has taken in all of the journal."""
    journal.save(layout_of(book.rules, book.keep), text_of(book, parts))


def load(journal: Journal, book: Book) -> tuple[int, dict[str, str]]:
    """Write a checkpoint into an empty book; give how many events it has taken in, and its parts.

    Where there is none that fits, the book stays empty: 0 events, no parts.
    """
    found = journal.saved(layout_of(book.rules, book.keep))
    return (0, {}) if found is None else (found[0], read(found[1], book))
