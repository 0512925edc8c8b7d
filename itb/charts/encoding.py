"""Arrays, JSON and text as they may stand inside an HTML page."""

from __future__ import annotations

import base64
import html
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

if TYPE_CHECKING:
    from itb.market.bars import IntArray


class Packed(TypedDict):
    """A typed array as plotly.js reads it: little-endian bytes in base64."""

    dtype: str
    bdata: str


def pack(values: np.ndarray[Any, Any], dtype: str = "f4") -> Packed:
    """Pack numbers for plotly.js; ``f4`` (7 digits) is enough for the eye and half the size of ``f8``.

    >>> pack(np.array([1.0, 2.0]))
    {'dtype': 'f4', 'bdata': 'AACAPwAAAEA='}
    """
    raw = np.ascontiguousarray(values, dtype=f"<{dtype}").tobytes()
    return {"dtype": dtype, "bdata": base64.b64encode(raw).decode("ascii")}


def pack_times(time_ms: IntArray) -> Packed:
    """Pack UTC milliseconds as whole unsigned seconds (until 2106); the page turns them back."""
    return pack(time_ms // 1000, "u4")


def json_for_page(value: object) -> str:
    r"""Write JSON that cannot end the ``<script>`` it stands in; NaN and infinity become ``null``.

    >>> json_for_page({"a": "</script>", "b": float("nan")})
    '{"a":"\\u003c/script\\u003e","b":null}'
    """
    text = json.dumps(plain(value), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def plain(value: object) -> object:
    """Turn a value tree into what JSON knows: mappings, lists, strings, finite numbers, ``None``."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def escape(text: object) -> str:
    """Escape text for HTML, attributes included."""
    return html.escape(str(text), quote=True)


def figure_text(text: object) -> str:
    """Escape text for plotly's own small markup, which knows tags and these three entities, but not ``&quot;``.

    >>> figure_text('<b>"R&D"')
    '&lt;b&gt;"R&amp;D"'
    """
    return html.escape(str(text), quote=False)
