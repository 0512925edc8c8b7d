"""Secrets never leave: everything that is written passes here first.

A library may log a signed address, an exception may quote a header, a venue may echo a key. So known secrets are
replaced in whatever form they take, and what looks like one is replaced even where nobody told it.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

HIDDEN = "***"
_SHORT = 8  # a shorter secret is replaced as a whole word only: "abc" is part of many words
_NAMES = (
    r"(?:x-mbx-apikey|api[-_]?(?:key|secret|sign)|apikey|(?:[a-z]+-)?access-(?:key|sign|passphrase)|kc-api-[a-z-]+"
    r"|secret(?:[-_]?key)?|passphrase|password|passwd|private[-_]?key|listen-?key|token|signature|sign)"
)
_SECRET_NAME = re.compile(_NAMES, re.IGNORECASE)
_LIKELY = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    re.compile(r"(?<!\d)\d{6,}:[A-Za-z0-9_-]{30,}"),  # a Telegram bot's token
    re.compile(r"(?<=://)[^/\s:@'\"]*:[^/\s@'\"]+(?=@)"),
    re.compile(r"(?i)\bauthorization['\"]?\s*[:=]\s*['\"]?(?:(?:bearer|basic|token)\s+)?(?P<value>[^\s'\",;}]+)"),
    re.compile(rf"(?i)(?<![a-z]){_NAMES}\\?['\"]?\s*[:=]\s*\\?['\"]?(?P<value>[^\s'\"&,;}}\\]+)"),
)


def _forms(secret: str) -> Iterator[str]:
    """Give the shapes that a secret takes in addresses, headers, JSON, ``repr`` and basic authentication."""
    yield secret
    yield quote(secret, safe="")
    yield quote(secret)
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]
    yield repr(secret)[1:-1]
    raw = secret.encode()
    yield base64.b64encode(raw).decode().rstrip("=")
    yield base64.urlsafe_b64encode(raw).decode().rstrip("=")
    lines = [line.strip() for line in secret.splitlines()]
    if len(lines) > 1:  # a key file: no line of it may show
        yield from (line for line in lines if len(line) >= 2 * _SHORT)


class Redaction:
    """Replaces secrets in text.

    >>> shown = Redaction(["k3y/with+signs", "hunter22"])
    >>> shown("GET /order?user=me&key=k3y%2Fwith%2Bsigns&signature=af31")
    'GET /order?user=me&key=***&signature=***'
    >>> shown("{'X-MBX-APIKEY': 'never-told'}")
    "{'X-MBX-APIKEY': '***'}"
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = frozenset(secret.strip() for secret in secrets if secret.strip())
        forms = sorted({form for secret in self._secrets for form in _forms(secret)}, key=len, reverse=True)
        words = [rf"(?<!\w){re.escape(f)}(?!\w)" if len(f) < _SHORT else re.escape(f) for f in forms]
        self._known = re.compile("|".join(words)) if words else None

    def with_more(self, secrets: Iterable[str]) -> Redaction:
        """Make one that knows more secrets."""
        return Redaction([*self._secrets, *secrets])

    def known(self, text: str) -> str:
        """Replace the secrets that were told, and nothing else."""
        return text if self._known is None else self._known.sub(HIDDEN, text)

    def __call__(self, text: str) -> str:
        """Replace the secrets that were told, and what looks like one."""
        text = self.known(text)
        for pattern in _LIKELY:
            text = pattern.sub(_hide_value, text)
        return text

    def __repr__(self) -> str:
        return f"Redaction({len(self._secrets)} secrets)"


def _hide_value(match: re.Match[str]) -> str:
    whole = match.group()
    value = match.groupdict().get("value")
    return HIDDEN if value is None else whole[: match.start("value") - match.start()] + HIDDEN


class _Process:
    """The redaction of this process: what to hide is known once the secrets are read, who writes is never known."""

    redaction = Redaction()


def shown(text: str) -> str:
    """Replace the secrets of this process in a text."""
    return _Process.redaction(text)


def cleaned(value: Any) -> Any:
    """Replace the secrets of this process in all texts of a nest of tables and lists.

    >>> cleaned({"reason": "sign=abc", "api_secret": "abc", "qty": 1})
    {'reason': 'sign=***', 'api_secret': '***', 'qty': 1}
    """
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, Mapping):
        return {
            cleaned(key): HIDDEN if isinstance(item, str) and _SECRET_NAME.fullmatch(str(key)) else cleaned(item)
            for key, item in value.items()
        }
    return [cleaned(item) for item in value] if isinstance(value, list | tuple) else value


def hide(secrets: Iterable[str]) -> Callable[[], None]:
    """Hide these secrets from now on in log records and in :func:`shown`; gives what undoes it.

    Log records are cleaned when they are made, whoever handles them: a filter on the root logger would not see those of
    other loggers, and a handler of a library's own would not know ours. Loggers that tell addresses with every request
    are quietened.
    """
    before = _Process.redaction, logging.getLogRecordFactory()
    _Process.redaction = _Process.redaction.with_more(secrets)
    if not isinstance(before[1], _CleanRecords):
        logging.setLogRecordFactory(_CleanRecords(before[1]))
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)

    def undo() -> None:
        _Process.redaction = before[0]
        logging.setLogRecordFactory(before[1])

    return undo


def hide_in_uncaught() -> Callable[[], None]:
    """Clean what is printed of exceptions that nobody caught, in any thread; gives what undoes it."""
    before = sys.excepthook, threading.excepthook, sys.unraisablehook
    sys.excepthook = _tell_exception
    threading.excepthook = lambda told: _tell_exception(told.exc_type, told.exc_value, told.exc_traceback)
    sys.unraisablehook = lambda told: _tell_exception(told.exc_type, told.exc_value, told.exc_traceback)

    def undo() -> None:
        sys.excepthook, threading.excepthook, sys.unraisablehook = before

    return undo


class _CleanRecords:
    """Makes log records whose text, trace and stack are clean before any handler sees them."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._make(*args, **kwargs)
        try:
            message = record.getMessage()
        except Exception as error:  # noqa: BLE001  arguments of others may not fit their text, and may raise anything
            message = f"{record.msg!r} (its arguments do not fit: {type(error).__name__})"
        record.msg, record.args = shown(message), None
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = shown("".join(traceback.format_exception(*record.exc_info)).rstrip("\n"))
            record.exc_info = None
        if record.stack_info:
            record.stack_info = shown(record.stack_info)
        return record


def _tell_exception(kind: type[BaseException], error: BaseException | None, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt | SystemExit) or sys.stderr is None:
        return
    sys.stderr.write(shown("".join(traceback.format_exception(kind, error, trace))))
