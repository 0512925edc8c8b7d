"""Letters in the outbox, and what of them goes out together when a way is behind."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from itb.live.notify.message import size

if TYPE_CHECKING:
    from itb.live.notify.people import People

REPEAT_ROOM = 40  # units kept free for the note that a message may be a repeat
DIGEST_ROOM = 200  # and for the line that says what was left out


@dataclass(frozen=True, slots=True)
class Letter:
    """One message for one way; ``parcel`` numbers what it was sent with before (0: never sent)."""

    number: int
    key: str
    topic: str
    time: int
    text: str
    has_picture: bool = False
    is_quiet: bool = False
    parcel: int = 0
    is_repeat: bool = False


@dataclass(frozen=True, slots=True)
class Flood:
    """What happens when more than ``behind`` letters wait.

    Of scores only the ``scores`` newest are sent and of pictures only the newest of its kind; what is left out is
    counted in a line. Texts are packed together, none is left out. Above ``most`` letters the oldest are left out,
    whatever they are, and counted.
    """

    behind: int = 20
    scores: int = 5
    most: int = 2_000

    def __post_init__(self) -> None:
        if self.behind < 1 or self.scores < 0 or self.most < self.behind:
            raise ValueError(f"expected behind of 1 or more, scores of 0 or more and most above behind, was {self}")


USUAL = Flood()


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is sent in one go: ``letters`` in order, and letters that are left out and only counted."""

    letters: tuple[Letter, ...]
    left_out: tuple[Letter, ...] = ()

    @property
    def number(self) -> int:
        """The number by which the parcel is known."""
        return self.letters[0].number

    @property
    def is_repeat(self) -> bool:
        """Whether it may have arrived before."""
        return any(letter.is_repeat for letter in self.letters)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing in it need make a phone ring."""
        return all(letter.is_quiet for letter in self.letters)

    @property
    def short_id(self) -> str:
        """Four letters that are the same every time that it is sent.

        >>> Parcel((Letter(7, "k", "score", 0, "hello"),)).short_id
        '8254'
        """
        return hashlib.sha256(self.letters[0].key.encode()).hexdigest()[:4]

    def text(self, people: People) -> str:
        """Write what is sent: several texts with their times, what was left out, whether it may be a repeat."""
        lines = [_left_out(self.left_out, people)] if self.left_out else []
        if len(self.letters) == 1 and not self.left_out:
            lines = [self.letters[0].text]
        else:
            lines += [_timed(letter, people) for letter in self.letters]
        if self.is_repeat:
            lines.append(f"<i>↻ #{self.short_id}: may be a repeat</i>")
        return "\n".join(lines)


def next_parcel(waiting: Sequence[Letter], limit: int, people: People, flood: Flood = USUAL) -> Parcel:
    """Choose what goes out next of the letters that wait, oldest first; there is at least one.

    A parcel that was tried before is sent again as it was, with nothing added. ``limit`` is what a message may show.
    """
    head = waiting[0]
    if head.parcel:
        return Parcel(tuple(letter for letter in waiting if letter.parcel == head.parcel))
    if len(waiting) <= flood.behind:
        return Parcel((head,))
    left_out = _unneeded(waiting, flood)
    gone = {letter.number for letter in left_out}
    kept = [letter for letter in waiting if letter.number not in gone]
    head = kept[0]
    before = tuple(letter for letter in left_out if letter.number < head.number)
    packed = [head]
    room = limit - REPEAT_ROOM - DIGEST_ROOM - size(_timed(head, people))
    for letter in kept[1:] if not head.has_picture else ():
        room -= size(_timed(letter, people)) + 1
        if letter.has_picture or room < 0:
            break
        packed.append(letter)
    last = packed[-1].number
    inside = tuple(letter for letter in left_out if head.number < letter.number < last)
    return Parcel(tuple(packed), before + inside)


def _unneeded(waiting: Sequence[Letter], flood: Flood) -> list[Letter]:
    """Give what may be left out, in order; never the newest letter."""
    surplus = {letter.number for letter in waiting[: max(0, len(waiting) - flood.most)]}
    scores = [letter.number for letter in waiting if letter.topic == "score"]
    surplus |= set(scores[: len(scores) - flood.scores] if flood.scores else scores)
    newest: dict[str, int] = {_kind(letter): letter.number for letter in waiting if letter.topic == "diagram"}
    surplus |= {
        letter.number for letter in waiting if letter.topic == "diagram" and newest[_kind(letter)] != letter.number
    }
    surplus.discard(waiting[-1].number)
    return [letter for letter in waiting if letter.number in surplus]


def _kind(letter: Letter) -> str:
    """Name whose successor makes a picture needless: the same output's picture of the same market."""
    return letter.key.rpartition("/")[0]


def _timed(letter: Letter, people: People) -> str:
    return f"<i>{people.local(letter.time):%H:%M}</i> {letter.text}"


def _left_out(letters: Sequence[Letter], people: People) -> str:
    counts = Counter(letter.topic for letter in letters)
    what = ", ".join(f"{count} {topic}" for topic, count in sorted(counts.items()))
    first, last = min(letter.time for letter in letters), max(letter.time for letter in letters)
    return f"<i>Left out while you could not be reached, {people.span(first, last)}: {what}</i>"
