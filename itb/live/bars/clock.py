"""The exchange's clock, told from samples against a clock of ours that nobody sets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

_MS = 1_000.0


@dataclass(frozen=True, slots=True)
class ClockSample:
    """One question for the exchange's time: when it left and came back on our monotonic clock, and the answer."""

    sent_s: float
    received_s: float
    server_ms: int

    def __post_init__(self) -> None:
        if self.received_s < self.sent_s:
            raise ValueError(f"an answer cannot come before the question: {self.received_s} < {self.sent_s}")

    @property
    def round_trip_ms(self) -> float:
        """How long the answer took."""
        return (self.received_s - self.sent_s) * _MS


@dataclass(frozen=True, slots=True)
class _Bounds:
    low: float
    high: float

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2

    @property
    def half(self) -> float:
        return (self.high - self.low) / 2

    def meet(self, other: _Bounds) -> _Bounds:
        return _Bounds(max(self.low, other.low), min(self.high, other.high))


@dataclass(frozen=True)
class ExchangeClock:
    """What is known of the exchange's time; a value object, each sample gives a new one.

    A sample proves that the offset (exchange minus ours) lay between ``server - received`` and ``server - sent + 1``
    milliseconds, the answer being a whole number. The longer ago, the wider, by ``drift_ppm``. The offset lies where
    all samples agree, so one quick answer counts for more than many slow ones, and lopsided delays cannot mislead.
    Where samples cannot all be true, one of the clocks was set or our machine slept: the newest sample then starts anew
    and ``steps`` counts it. The wall clock of this machine is never read.

    >>> clock = ExchangeClock().heard(ClockSample(10.0, 10.2, 1_000_100)).heard(ClockSample(11.0, 11.02, 1_001_011))
    >>> round(clock.now_ms(12.0)), round(clock.error_ms(12.0))
    (1002002, 11)
    >>> clock.heard(ClockSample(20.0, 20.01, 2_000_000)).steps
    1
    """

    drift_ppm: float = 100.0
    keep: int = 16
    samples: tuple[ClockSample, ...] = ()
    steps: int = 0
    last_step_ms: float = 0.0
    _reference: tuple[float, float] | None = field(default=None, repr=False)  # monotonic seconds, offset

    def __post_init__(self) -> None:
        if not self.drift_ppm >= 0:
            raise ValueError(f"drift_ppm must be 0 or more, was {self.drift_ppm}")
        if self.keep < 1:
            raise ValueError(f"keep must be at least 1 sample, was {self.keep}")

    @property
    def is_set(self) -> bool:
        """Whether the exchange has said its time at all."""
        return bool(self.samples)

    def heard(self, sample: ClockSample) -> ExchangeClock:
        """Give the clock as it is after one more sample."""
        at = sample.received_s
        kept = (*self.samples, sample)
        bounds = self._meet(kept, at)
        if bounds.low <= bounds.high:
            middle = bounds.middle
            reference = self._reference or (at, middle)
            return replace(self, samples=_thinned(kept, self.keep, self.drift_ppm), _reference=reference)
        was, now = self._meet(self.samples, at), self._bounds(sample, at)
        return replace(
            self,
            samples=(sample,),
            steps=self.steps + 1,
            last_step_ms=now.middle - was.middle,
            _reference=(at, now.middle),
        )

    def now_ms(self, monotonic_s: float) -> float:
        """Give the exchange's time at a moment of our monotonic clock, UTC milliseconds."""
        return monotonic_s * _MS + self._meet(self.samples, monotonic_s).middle

    def error_ms(self, monotonic_s: float) -> float:
        """Give the most by which :meth:`now_ms` can be wrong; infinite before the first sample."""
        return self._meet(self.samples, monotonic_s).half if self.samples else float("inf")

    def earliest_ms(self, monotonic_s: float) -> float:
        """Give a time that the exchange's clock has reached for sure: what "a bar is closed" is judged by."""
        return monotonic_s * _MS + self._meet(self.samples, monotonic_s).low

    def drift(self, monotonic_s: float) -> float:
        """Say how fast the offset has moved since the first sample (or step), in parts per million."""
        if self._reference is None or monotonic_s <= self._reference[0]:
            return 0.0
        moved = self._meet(self.samples, monotonic_s).middle - self._reference[1]
        return moved / ((monotonic_s - self._reference[0]) * _MS) * 1e6

    def _bounds(self, sample: ClockSample, at: float) -> _Bounds:
        wider = abs(at - sample.received_s) * _MS * self.drift_ppm / 1e6
        # The drift may also have worked while the answer was under way.
        wider += sample.round_trip_ms * self.drift_ppm / 1e6
        low = sample.server_ms - sample.received_s * _MS
        return _Bounds(low - wider, sample.server_ms + 1 - sample.sent_s * _MS + wider)

    def _meet(self, samples: tuple[ClockSample, ...], at: float) -> _Bounds:
        if not samples:
            raise ValueError("the exchange has not said its time yet: ask it before a bar is judged")
        found = self._bounds(samples[0], at)
        for sample in samples[1:]:
            found = found.meet(self._bounds(sample, at))
        return found


def _thinned(samples: tuple[ClockSample, ...], keep: int, drift_ppm: float) -> tuple[ClockSample, ...]:
    """Keep the newest sample and the tightest of the others as they are by now."""
    if len(samples) <= keep:
        return samples
    *others, newest = samples

    def width(sample: ClockSample) -> float:
        return sample.round_trip_ms + 2 * (newest.received_s - sample.received_s) * _MS * drift_ppm / 1e6

    chosen = sorted(sorted(others, key=width)[: keep - 1], key=lambda sample: sample.received_s)
    return (*chosen, newest)
