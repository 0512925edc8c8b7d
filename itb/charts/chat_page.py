"""Messages as a chat on a phone, for looking at them before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_STYLE = """
:root { color-scheme: light dark; --page: #dfe4ea; --bubble: #fff; --ink: #1b1e23; --muted: #7a828c; }
@media (prefers-color-scheme: dark) { :root { --page: #0e1013; --bubble: #1c2026; --ink: #e9eaec; --muted: #8d949e; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.4 system-ui, sans-serif; }
main { max-width: 390px; margin: 0 auto; padding: 12px 8px; }
h1 { font-size: 15px; text-align: center; font-weight: 600; margin: 4px 0 12px; }
.day { text-align: center; color: var(--muted); font-size: 12.5px; margin: 14px 0 8px; }
.message { background: var(--bubble); border-radius: 14px; padding: 8px 11px 6px; margin: 0 34px 6px 0;
  overflow-wrap: anywhere; white-space: pre-wrap; box-shadow: 0 1px 1px rgba(0, 0, 0, .08); }
.message.picture { margin-right: 0; padding: 0 0 6px; overflow: hidden; }
.message.picture p { padding: 8px 11px 0; }
.message p { margin: 0; }
.message img { display: block; width: 100%; }
.message time { display: block; text-align: right; color: var(--muted); font-size: 11.5px; margin-top: 2px; }
.message.picture time { padding-right: 11px; }
"""


@dataclass(frozen=True)
class Bubble:
    """One message: HTML that is safe as it is, day and time in words, the file of its picture (empty: none)."""

    html: str
    day: str
    time: str
    picture: str = ""


def chat_page(title: str, bubbles: Sequence[Bubble]) -> str:
    """Write the page; it asks no other machine for anything.

    >>> "<b>hello</b>" in chat_page("A run", [Bubble("<b>hello</b>", "Mon 1 Jan", "10:00")])
    True
    """
    parts, day = [], ""
    for one in bubbles:
        if one.day != day:
            day = one.day
            parts.append(f'<div class="day">{escape(day)}</div>')
        image = f'<img src="{escape(one.picture)}" alt="">' if one.picture else ""
        kind = "message picture" if one.picture else "message"
        parts.append(f'<div class="{kind}">{image}<p>{one.html}</p><time>{escape(one.time)}</time></div>')
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{''.join(parts)}</main></body></html>\n"
    )
