"""Keep keys and signatures out of every text: logs of any library at any level, tracebacks, reasons."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable, Iterable
from urllib.parse import quote

_HIDDEN = "[hidden]"
_SIGNED = re.compile(
    r"(signature|x-mbx-apikey|ok-access-sign|ok-access-key|x-bapi-sign|x-bapi-api-key|authorization|listenkey)"
    r"""(["']?\s*[=:]\s*["']?)[^\s&"',;}\]]+""",
    re.IGNORECASE,
)


class Redactor:
    """Replaces secrets that it was told, and what signed requests carry, by ``[hidden]``.

    Parameters
    ----------
    secrets
        Texts that must never be shown; empty ones are left out.

    >>> Redactor(["hunter2"]).text("GET /order?symbol=BTCUSDT&signature=ab12&note=hunter2")
    'GET /order?symbol=BTCUSDT&signature=[hidden]&note=[hidden]'
    """

    def __init__(self, secrets: Iterable[str | None] = ()) -> None:
        self._secrets: list[str] = []
        self.learn(*secrets)

    def learn(self, *secrets: str | None) -> None:
        """Hide these too, also as they look inside an address."""
        told = {form for secret in secrets if secret for form in (secret, quote(secret, safe=""))}
        self._secrets = sorted({*self._secrets, *told}, key=len, reverse=True)  # the longer ones may hold the shorter

    def text(self, text: str) -> str:
        """Give a text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        return _SIGNED.sub(rf"\1\2{_HIDDEN}", text)

    def record(self, record: logging.LogRecord) -> logging.LogRecord:
        """Rewrite a log record: its message and its traceback, so that no handler can say more."""
        try:
            said = record.getMessage()
        except (TypeError, ValueError, KeyError) as error:  # arguments that do not fit: logging would print them
            said = f"{record.msg} ({type(error).__name__})"
        record.msg, record.args = self.text(said), None
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = self.text("".join(traceback.format_exception(*record.exc_info)).rstrip("\n"))
            record.exc_info = None
        elif record.exc_text:
            record.exc_text = self.text(record.exc_text)
        if record.stack_info:
            record.stack_info = self.text(record.stack_info)
        return record


_shared = Redactor()
_before: Callable[..., logging.LogRecord] | None = None


def hide(*secrets: str | None) -> Redactor:
    """Hide secrets from every log record of this process from now on, whichever library writes it.

    Gives the redactor that all share, for texts that are no log records.
    """
    global _before  # noqa: PLW0603  (there is one record factory in a process)
    _shared.learn(*secrets)
    if _before is None:
        before = _before = logging.getLogRecordFactory()
        logging.setLogRecordFactory(lambda *args, **more: _shared.record(before(*args, **more)))
    return _shared
