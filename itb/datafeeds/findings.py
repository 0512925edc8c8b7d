"""What a check of bars found: each finding, how bad it is, and what to tell the shell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from itb.market.bars import utc
from itb.market.gaps import count_of

Severity = Literal["note", "warning", "error"]
Kind = Literal["damaged", "contradiction", "gap", "spike", "frozen", "zero volume"]

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know about the bars that open from ``start_ms`` to before ``stop_ms``; ``size`` ranks its kind."""

    kind: Kind
    severity: Severity
    start_ms: int
    stop_ms: int
    bars: int
    detail: str
    size: float = 0.0


class FindingRow(NamedTuple):
    """A finding as a table shows it; without ``start`` it says how many more there are."""

    severity: str
    kind: str
    start: str
    bars: str
    detail: str


@dataclass(frozen=True)
class Findings:
    """All findings about one series; ``series`` names it, ``bars`` were looked at.

    >>> gap = Finding("gap", "warning", 0, 120_000, bars=2, detail="until 1970-01-01 00:02 UTC", size=2)
    >>> findings = Findings("binance BTC/USDT 1m", 100, (gap,))
    >>> findings.summary
    'binance BTC/USDT 1m: 100 bars, 1 gap (2 bars)'
    >>> exit_code([findings]), exit_code([findings], fail_on="error")
    (1, 0)
    """

    series: str
    bars: int
    findings: tuple[Finding, ...]

    @property
    def worst(self) -> Severity | None:
        """The worst severity found, ``None`` if nothing was."""
        ranks = [SEVERITIES.index(finding.severity) for finding in self.findings]
        return SEVERITIES[max(ranks)] if ranks else None

    def of(self, kind: Kind) -> list[Finding]:
        """Give the findings of one kind, the largest first."""
        return sorted((one for one in self.findings if one.kind == kind), key=lambda one: (-one.size, one.start_ms))

    @property
    def summary(self) -> str:
        """One line for people."""
        parts = []
        for kind in KINDS:
            found = self.of(kind)
            if found:
                name = kind if len(found) == 1 else f"{kind}s" if kind in ("contradiction", "gap", "spike") else kind
                parts.append(f"{len(found):,} {name} ({count_of(sum(one.bars for one in found))})")
        return f"{self.series}: {count_of(self.bars)}, {', '.join(parts) or 'nothing to report'}"

    def rows(self, limit: int = 5) -> list[FindingRow]:
        """Give the largest ``limit`` findings of each kind for a table, then a row that counts the others."""
        rows = []
        for kind in KINDS:
            found = self.of(kind)
            rows += [
                FindingRow(one.severity, kind, utc(one.start_ms), f"{one.bars:,}", one.detail) for one in found[:limit]
            ]
            if rest := found[limit:]:
                worst = max(rest, key=lambda one: SEVERITIES.index(one.severity)).severity
                bars = f"{sum(one.bars for one in rest):,}"
                rows.append(FindingRow(worst, kind, "", bars, f"and {len(rest):,} more"))
        return rows


def exit_code(checked: Iterable[Findings], fail_on: Severity = "warning") -> int:
    """Give the exit code of a check: 1 if anything at least as bad as ``fail_on`` was found, else 0."""
    worst = [SEVERITIES.index(findings.worst) for findings in checked if findings.worst is not None]
    return int(max(worst, default=-1) >= SEVERITIES.index(fail_on))
