"""Arrays in a safetensors file: a length, a JSON header, the numbers; nothing in it can be run.

The format is https://github.com/huggingface/safetensors, written here so that the same arrays give the same bytes and
read so that nothing is trusted: every array must lie inside the file, side by side with the others.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from itb.errors import ModelError

_KINDS = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "U8": "|u1", "BOOL": "|b1"}
_NAMES = {np.dtype(kind): name for name, kind in _KINDS.items()}
_LENGTH = 8
_LONGEST = 100_000_000

Arrays = Mapping[str, np.ndarray[Any, Any]]


def dump_tensors(arrays: Arrays, metadata: Mapping[str, str]) -> bytes:
    """Write arrays and texts; the same ones give the same bytes.

    >>> arrays, metadata = load_tensors(dump_tensors({"weight": np.ones((2, 3), dtype=np.float32)}, {"kind": "tcn"}))
    >>> arrays["weight"].shape, metadata
    ((2, 3), {'kind': 'tcn'})
    """
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    parts, at = [], 0
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        content = array.astype(array.dtype.newbyteorder("<")).tobytes()
        header[name] = {
            "dtype": _NAMES[array.dtype.newbyteorder("<")],
            "shape": list(arrays[name].shape),
            "data_offsets": [at, at + len(content)],
        }
        parts.append(content)
        at += len(content)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _LENGTH)
    return b"".join([len(text).to_bytes(_LENGTH, "little"), text, *parts])


def load_tensors(content: bytes) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, str]]:
    """Read arrays and texts; raise :class:`itb.errors.ModelError` for anything but such a file."""
    try:
        header, body = _header(content)
        metadata = {str(name): str(text) for name, text in header.pop("__metadata__", {}).items()}
        found, end = {}, 0
        for name, told in sorted(header.items(), key=lambda item: item[1]["data_offsets"][1]):
            found[name] = _array(name, told, body, end)
            end += found[name].nbytes
        _require(end == len(body), f"{len(body) - end} bytes belong to nothing")
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ModelError(f"not a safetensors file ({error}). Train the model again.") from None
    return found, metadata


def _header(content: bytes) -> tuple[dict[str, Any], memoryview]:
    length = int.from_bytes(content[:_LENGTH], "little")
    room = len(content) - _LENGTH
    _require(0 < length <= min(room, _LONGEST), f"a header of {length} bytes in a file of {len(content)}")
    header: dict[str, Any] = json.loads(content[_LENGTH : _LENGTH + length])
    return header, memoryview(content)[_LENGTH + length :]


def _array(name: str, told: Mapping[str, Any], body: memoryview, end: int) -> np.ndarray[Any, Any]:
    """Read one array, which must begin where the one before it ended."""
    start, stop = told["data_offsets"]
    shape, kind = tuple(told["shape"]), np.dtype(_KINDS[told["dtype"]])
    whole = all(isinstance(one, int) and one >= 0 for one in (*shape, start, stop))
    _require(whole and start == end and stop <= len(body), f"{name} lies at {start} to {stop} of {len(body)}")
    size = math.prod(shape) * kind.itemsize
    _require(stop - start == size, f"{name} is of shape {shape} in {stop - start} bytes")
    return np.frombuffer(body[start:stop], dtype=kind).reshape(shape).copy()


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)
