"""Walk back from bar to bar and keep the peaks and dips ahead, also where the bars that come next are not there yet.

FollowUpward's second target looks from a falling bar at the first of a queue of dips ahead, from a rising one at the
first of a queue of peaks. A sell takes peaks out of their queue and a buy dips, so what a bar sees depends on what the
bars after it saw, and theirs on later ones still. No fixed horizon bounds that chain. Therefore the walk can also start
from bars whose future is open: then an element of a queue may be there or not, and so may be elements beyond the last
bar. A bar that sees the same element in every case has its final value.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

BEYOND = -1
"""An element after the last bar: place and price unknown."""


@dataclass
class Element:
    """A peak or a dip: its bar, and whether it is certain to be in the queue."""

    bar: int
    is_certain: bool = True


@dataclass
class PeakDipSearch:
    """Queues of the peaks and dips ahead, farthest first, while bars are taken in from the last to the first.

    ``open_after`` is the last bar of a history whose future is open; ``None`` takes the history as all there is. The
    search then starts before the last run of rising or falling bars, since nobody knows where that run ends.
    """

    close: list[float]
    up: float
    low: float
    window: int
    open_after: int | None = None
    queues: tuple[deque[Element], deque[Element]] = field(default_factory=lambda: (deque(), deque()))
    run: int = -1  # which queue the bar after this one looked at: 0 dips, 1 peaks

    def start(self, runs: list[int]) -> int:
        """Give the first bar to look at; ``runs`` holds for each bar where its run of rising or falling bars began."""
        if self.open_after is None:
            return len(self.close) - 2
        return runs[self.open_after - 1] - 1 if self.open_after else -1

    def look(self, bar: int) -> list[int]:
        """Take in one bar and give what it may see, farthest first; one element is certainty."""
        now = self.close[bar]
        falls = self.close[bar + 1] / now - 1 <= 0
        side = 0 if falls else 1
        own = self.queues[side]
        if self.run != side:
            own.append(Element(bar + 1))
            self.run = side
        seen = self._candidates(own, bar, falls=falls)
        acting = [one for one in seen if one != BEYOND and self._acts(self.close[one] / now - 1, falls=falls)]
        if acting:
            self._take_out(self.queues[1 - side], acting, in_every_case=len(acting) == len(seen))
        return seen

    def _candidates(self, own: deque[Element], bar: int, *, falls: bool) -> list[int]:
        close, current = self.close, own[-1].bar
        best = close[current]
        seen = []
        certain_so_far = True
        if self.open_after is not None and self.open_after - bar <= self.window:
            seen.append(BEYOND)
            certain_so_far = False
        place = 0
        while (element := own[place]).bar != current:
            price = close[element.bar]
            if element.bar - bar > self.window or (best < price if falls else best > price):
                if certain_so_far:
                    own.popleft()
                    continue
                element.is_certain = False
            else:
                seen.append(element.bar)
                if element.is_certain:
                    return seen
                certain_so_far = False
            place += 1
        seen.append(current)
        return seen

    def _acts(self, far: float, *, falls: bool) -> bool:
        return far < -self.low if falls else far > self.up

    def _take_out(self, other: deque[Element], acting: list[int], *, in_every_case: bool) -> None:
        nearest, farthest = min(acting), max(acting)
        if in_every_case:
            while other and other[0].bar >= farthest:
                other.popleft()
        for element in other:
            if element.bar < nearest:
                break
            element.is_certain = False
