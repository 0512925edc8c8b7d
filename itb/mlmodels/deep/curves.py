"""How training went, epoch by epoch, as CSV and as TensorBoard events."""

from __future__ import annotations

import struct
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from itb.mlmodels.deep.judging import Epoch
from itb.mlmodels.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_CASTAGNOLI = 0x82F63B78
_MASK = 0xA282EAD8


def write_curve(path: Path, curve: Sequence[Epoch], *, events: bool) -> None:
    """Write ``path``.csv, and with ``events`` a folder ``path`` that TensorBoard shows."""
    names = [field.name for field in fields(Epoch)]
    rows = [",".join(f"{getattr(epoch, name):.10g}" for name in names) for epoch in curve]
    write_whole(path.with_suffix(".csv"), "\n".join([",".join(names), *rows, ""]).encode())
    if events:
        write_whole(path / "events.out.tfevents.0.itb", b"".join(event_records(curve)))


def event_records(curve: Sequence[Epoch]) -> Iterator[bytes]:
    """Give the records of an events file (TFRecord of ``Event`` messages), without a clock: one second an epoch."""
    yield _record(_event(0, 0, _text(3, b"brain.Event:2")))
    for epoch in curve:
        for name, value in asdict(epoch).items():
            if name != "number":
                scalar = _text(1, name.encode()) + b"\x15" + struct.pack("<f", value)
                yield _record(_event(epoch.number, epoch.number, _text(5, _text(1, scalar))))


def _event(seconds: int, step: int, content: bytes) -> bytes:
    return b"\x09" + struct.pack("<d", seconds) + b"\x10" + _varint(step) + content


def _text(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return length + _masked(length) + content + _masked(content)


def _masked(content: bytes) -> bytes:
    found = crc32c(content)
    return struct.pack("<I", ((found >> 15 | found << 17) + _MASK) & 0xFFFFFFFF)


def crc32c(content: bytes) -> int:
    """Give the CRC-32C of some bytes (Castagnoli's polynomial).

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    found = 0xFFFFFFFF
    for byte in content:
        found ^= byte
        for _ in range(8):
            found = found >> 1 ^ (_CASTAGNOLI if found & 1 else 0)
    return found ^ 0xFFFFFFFF
