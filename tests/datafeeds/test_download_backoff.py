import pytest
from hypothesis import given
from hypothesis import strategies as st

from itb.datafeeds.backoff import Backoff, Retrier, TransientError, retry_after_s
from itb.errors import GatewayError


def failing(times, retry_after_s=None):
    """A request that fails so many times and then answers 42."""
    left = [times]

    def ask():
        if left[0]:
            left[0] -= 1
            raise TransientError("busy", retry_after_s)
        return 42

    return ask


@given(attempt=st.integers(1, 60), chance=st.floats(0, 1), first=st.floats(0, 5), factor=st.floats(1, 4))
def test_waits_grow_up_to_the_longest_and_never_beyond(attempt, chance, first, factor):
    backoff = Backoff(first_s=first, factor=factor, longest_s=60)
    wait = backoff.wait_s(attempt, chance)
    assert 0 <= wait <= 60
    assert backoff.wait_s(attempt + 1, chance) >= wait
    assert wait >= min(60, first) / 2


def test_jitter_keeps_at_least_half_the_wait():
    waits = []
    Retrier(sleep=waits.append, seed=5).call("x", failing(5))
    assert all(full / 2 <= wait <= full for wait, full in zip(waits, [1, 2, 4, 8, 16], strict=True))
    assert len(set(waits)) == 5


def test_two_retriers_with_one_seed_wait_alike():
    first, second = [], []
    Retrier(sleep=first.append, seed=5).call("x", failing(4))
    Retrier(sleep=second.append, seed=5).call("x", failing(4))
    assert first == second


def test_a_wait_that_was_asked_for_is_honoured():
    waits = []
    Retrier(sleep=waits.append, seed=5).call("x", failing(2, retry_after_s=30))
    assert waits == [30, 30]


def test_a_short_wait_that_was_asked_for_does_not_shorten_the_backoff():
    waits = []
    Retrier(Backoff(first_s=10), sleep=waits.append, seed=5).call("x", failing(1, retry_after_s=1))
    assert waits[0] >= 5


def test_a_wait_that_is_too_long_ends_the_run():
    waits = []
    with pytest.raises(GatewayError, match="x: busy; come back in 901 seconds"):
        Retrier(sleep=waits.append).call("x", failing(1, retry_after_s=901))
    assert waits == []


def test_giving_up_says_how_often_and_why():
    retrier = Retrier(Backoff(tries=3), sleep=lambda seconds: None)
    with pytest.raises(GatewayError, match="x: gave up after 3 tries, last: busy"):
        retrier.call("x", failing(99))
    assert (retrier.requests, retrier.retries) == (3, 2)


def test_other_errors_are_not_tried_again():
    retrier = Retrier(sleep=lambda seconds: None)

    def ask():
        raise GatewayError("no")

    with pytest.raises(GatewayError, match="no"):
        retrier.call("x", ask)
    assert retrier.requests == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("", None), ("12", 12.0), (" 3 ", 3.0), ("-4", None), ("soon", None), ("1e9", None)],
)
def test_retry_after_is_read_or_left(header, seconds):
    assert retry_after_s(header) == seconds


def test_a_date_in_the_past_means_no_wait():
    assert retry_after_s("Thu, 01 Jan 1970 00:00:00 GMT") == 0


@pytest.mark.parametrize("wrong", [{"tries": 0}, {"first_s": -1}, {"factor": 0.5}, {"longest_s": 0.1}])
def test_a_backoff_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        Backoff(**wrong)
