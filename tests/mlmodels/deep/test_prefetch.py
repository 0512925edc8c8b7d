"""Reading ahead changes nothing but the time of day."""

from __future__ import annotations

import threading

import pytest

from itb.mlmodels.deep.prefetch import ahead


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_items_come_in_order(depth):
    assert list(ahead(iter(range(50)), depth)) == list(range(50))


def test_what_fails_while_reading_fails_where_it_is_asked_for():
    def items():
        yield 1
        raise OSError("torn")

    given = ahead(items(), 2)
    assert next(given) == 1
    with pytest.raises(OSError, match="torn"):
        next(given)


def test_no_thread_is_left_when_nobody_asks_any_more():
    before = threading.active_count()
    given = ahead(iter(range(1000)), 2)
    next(given)
    given.close()
    assert threading.active_count() == before


def test_no_more_is_read_ahead_than_asked_for():
    read = []
    given = ahead((read.append(i) or i for i in range(100)), 2)
    assert [next(given) for _ in range(10)] == list(range(10))
    assert len(read) <= 10 + 2 + 2
    given.close()
