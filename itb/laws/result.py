"""What checking a law says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class LawResult:
    """One law checked on one subject.

    ``evidence`` is a sentence for people: the first violation if there is one, otherwise what was tried. ``figures``
    are numbers behind it. True if the law holds, so that ``assert check(...)`` reads well.

    >>> print(LawResult("causal", "close_SMA_20", passed=True, evidence="8 cuts changed nothing"))
    causal: close_SMA_20: ok: 8 cuts changed nothing
    """

    law: str
    subject: str
    passed: bool
    evidence: str
    figures: Mapping[str, float] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        return f"{self.law}: {self.subject}: {'ok' if self.passed else 'BROKEN'}: {self.evidence}"
