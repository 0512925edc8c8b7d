"""The configuration reference as Markdown, written from the models."""

from __future__ import annotations

from collections.abc import Iterator

from itb.config.catalogue import Key, Table, parts, sections
from itb.config.toml import value


def reference_markdown() -> str:
    """Write every section, every part it can name, and their keys: type, default, meaning.

    >>> reference_markdown().splitlines()[0]
    '## `[data]`'
    """
    variants: dict[str, list[Table]] = {}
    for part in parts():
        variants.setdefault(part.section, []).append(part)
    lines: list[str] = []
    for table in sections():
        lines += [f"## `{table.title}`", "", table.meaning, "", *_rows(table.keys)]
        for part in variants.get(table.section, []):
            if part.part != table.section:
                lines += [f"### `{part.part}`", ""]
            lines += [part.meaning, "", *_rows(part.keys)]
    return "\n".join(lines)


def _rows(keys: tuple[Key, ...]) -> Iterator[str]:
    if not keys:
        return
    yield "| key | type | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for key in keys:
        cells = (f"`{key.name}`", key.kind, _default(key), key.meaning)
        yield "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
    yield ""


def _default(key: Key) -> str:
    if key.is_required:
        return "must be given"
    return "not set" if key.default is None else f"`{value(key.default)}`"
