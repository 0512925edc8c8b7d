"""`itb data universe`: the markets that the rules choose, and the start of a run on them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from itb.charts.data import Table
from itb.config import parts
from itb.config.load import with_values
from itb.config.universe import universe
from itb.config.values import from_ms, plain_moment, to_moment, to_ms
from itb.datafeeds.universe import Candidate, Change, Judged, Universe, changes, refreshes
from itb.errors import BarsError, ConfigError
from itb.market.bars import utc
from itb.runs.said import Said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from itb.runs.workspace import Workspace

ORIGIN = "[universe]"


def list_universe(workspace: Workspace, at: str | None = None, *, history: bool = False) -> Said:
    """Say who belongs as of a moment, with the figures that decided, and why the others do not.

    Without ``at``: ``universe.at``, else ``data.from``, else the newest stored bar. ``history`` lists what each refresh
    from then (or the oldest bar) to ``data.to`` (or the newest bar) changes.
    """
    rules, candidates = universe(workspace.config), _candidates(workspace)
    end = max(int(one.bars.close_time[-1]) for one in candidates)
    at_ms = _moment(workspace, at)
    if at_ms is None:
        at_ms = min(int(one.bars.close_time[0]) for one in candidates) if history else end
    if history:
        stop_ms = min(end, workspace.config.data.stop_ms or end) + 1
        times = refreshes(at_ms, stop_ms, workspace.config.universe.refresh_every.ms)
        return _changes(list(changes(partial(rules.members, candidates), times)), at_ms)
    return _said(rules, rules.judge(candidates, at_ms), at_ms)


def with_universe(workspace: Workspace) -> Workspace:
    """Give a workspace whose symbols are the members as of the first day, where ``universe.use`` asks for them.

    The config it gives names them, so that a run is repeated on the same ones whatever is stored by then.
    """
    config = workspace.config
    if not config.universe.use:
        return workspace
    if config.origins.get(("data", "symbols")) == "--symbol":
        return replace(workspace, config=with_values(config, {"universe.use": False}, "--symbol"))
    at_ms = _moment(workspace, None)
    if at_ms is None:
        told = "needs data.from (or universe.at): members are chosen by what was known then"
        raise ConfigError(config.complaint(("universe", "use"), told))
    judged = universe(config).judge(_candidates(workspace), at_ms)
    members = [one.symbol for one in judged if one.is_member]
    if not members:
        why = "; ".join(f"{one.symbol}: {one.why}" for one in judged[:3])
        told = f"nothing belongs at {utc(at_ms)} ({why}); see `itb data universe`, and store bars from before then"
        raise ConfigError(config.complaint(("universe", "use"), told))
    chosen = {
        "data.symbols": members,
        "universe.use": False,
        "universe.chosen_at": plain_moment(from_ms(at_ms)),
    }
    return replace(workspace, config=with_values(config, chosen, ORIGIN))


def _moment(workspace: Workspace, at: str | None) -> int | None:
    config = workspace.config
    if at is None:
        return config.data.start_ms if config.universe.at_ms is None else config.universe.at_ms
    try:
        return to_ms(to_moment(at))
    except ValueError as error:
        raise ConfigError(f"--at: {error}") from None


def _candidates(workspace: Workspace) -> list[Candidate]:
    """Give every stored market of the exchange against the quote currency."""
    config = workspace.config
    data, section = config.data, config.universe
    frame = section.timeframe or data.timeframe
    if data.is_synthetic:
        return [Candidate.of(bars) for bars in parts.synthetic_market(config).bars().values()]
    stored = [key for key in workspace.store.names() if key.exchange == data.exchange.lower()]
    names = [
        key.symbol
        for key in stored
        if key.timeframe == frame and key.symbol.partition("/")[2].partition(":")[0] == section.quote
    ]
    if not names:
        raise BarsError(
            f"{workspace.store.root}: no {frame} bars of {data.exchange} against {section.quote} are stored; "
            "see `itb data list`, or bring some in with `itb data import` or `itb data download`"
        )
    found = []
    for done, name in enumerate(names):
        workspace.report(done, len(names), "reading bars")
        found.append(Candidate.of(workspace.store.read(data.exchange, name, frame)))
    workspace.report(len(names), len(names), "reading bars")
    return found


def _said(rules: Universe, judged: Sequence[Judged], at_ms: int) -> Said:
    told = [
        {"symbol": one.symbol, "member": one.is_member, "why": one.why, "figures": dict(one.figures)} for one in judged
    ]
    rows = tuple(
        (
            one.symbol,
            "yes" if one.is_member else "no",
            *(rule.show(one.figures[rule.name]) if one.figures else "" for rule in rules.rules),
            one.why,
        )
        for one in judged
    )
    members = [one.symbol for one in judged if one.is_member]
    line = f"{len(members)} of {len(judged)} stored markets belong at {utc(at_ms)}; what is not stored is not known."
    data: dict[str, Any] = {"at": utc(at_ms), "members": members, "judged": told}
    return Said(data, (line,), Table(("symbol", "member", *(rule.name for rule in rules.rules), "why"), rows))


def _changes(found: Sequence[Change], at_ms: int) -> Said:
    rows = tuple((utc(one.time_ms), str(len(one.members)), ", ".join(one.joined), ", ".join(one.left)) for one in found)
    told = [
        {
            "time": utc(one.time_ms),
            "members": list(one.members),
            "joined": list(one.joined),
            "left": list(one.left),
        }
        for one in found
    ]
    changed = max(0, len(found) - 1)
    lines = (f"Members changed {changed:,} times since {utc(at_ms)}.",)
    return Said({"changes": told}, lines, Table(("time", "members", "joined", "left"), rows))
