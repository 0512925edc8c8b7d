"""Steering from another terminal: requests as lines of JSON on a socket that only the bot's owner may open.

A request is ``{"ask": "orders", "with": {"ended": 5}}``, its answer ``{"said": ...}`` or ``{"error": "..."}``. A line
that is cut off, too long or no request does nothing; whoever does not read or does not write is left.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from itb.errors import ItbError
from itb.live import cockpit as port
from itb.live.run.redaction import cleaned
from itb.live.run.socket_file import SOCKET, NotRunningError, dial, listen

_log = logging.getLogger(__name__)
_LONGEST_REQUEST = 64_000
_LONGEST_ANSWER = 64_000_000
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class _Operation:
    gives: Any
    takes: Mapping[str, tuple[type, ...]]
    changes: bool = False


OPERATIONS: dict[str, _Operation] = {
    "status": _Operation(port.Status, {}),
    "orders": _Operation(tuple[port.OrderLine, ...], {"ended": (int,)}),
    "trades": _Operation(tuple[port.TradeLine, ...], {"most": (int,)}),
    "balance": _Operation(tuple[port.BalanceLine, ...], {}),
    "pause": _Operation(str, {"by": (str,)}, changes=True),
    "resume": _Operation(str, {"by": (str,)}, changes=True),
    "close": _Operation(str, {"by": (str,), "symbol": (str,), "strategy": (str,)}, changes=True),
    "stop": _Operation(str, {"by": (str,), "cancel": (bool, type(None))}, changes=True),
}


def _tell_nobody(_ask: str, _arguments: Mapping[str, Any], _said: str) -> None:
    return


class ControlServer:
    """Serve a cockpit on the socket of a bot's folder, on the loop that :meth:`start` is called on.

    Parameters
    ----------
    cockpit
        What is steered; called on the loop's thread.
    folder
        The bot's folder, whose lock is held.
    commanded
        Hears of each request that changes something, and what was answered.
    patience_s
        How long a connection may say nothing, or not read its answer.
    most
        Connections at the same time.
    """

    def __init__(
        self,
        cockpit: port.Cockpit,
        folder: Path,
        *,
        commanded: Callable[[str, Mapping[str, Any], str], None] = _tell_nobody,
        patience_s: float = 10.0,
        most: int = 16,
    ) -> None:
        self._cockpit, self._folder, self._commanded = cockpit, folder, commanded
        self._patience_s, self._most = patience_s, most
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def connections(self) -> int:
        """How many are connected now."""
        return len(self._tasks)

    async def start(self) -> None:
        """Begin to listen; raise :class:`itb.errors.ItbError` when the folder is not ours."""
        listening = listen(self._folder)
        self._server = await asyncio.start_unix_server(self._connected, sock=listening, limit=_LONGEST_REQUEST)

    async def stop(self) -> None:
        """Stop listening, answer what was asked, remove the socket."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        (self._folder / SOCKET).unlink(missing_ok=True)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=0.5)
        for task in self._tasks:
            task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if len(self._tasks) <= self._most:
                await self._converse(reader, writer)
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # gone, asleep, or we stop
        finally:
            self._tasks.discard(task)
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            async with asyncio.timeout(self._patience_s):
                try:
                    line = await reader.readline()
                except ValueError:
                    line, answer = b"", {"error": f"a request has at most {_LONGEST_REQUEST} characters"}
                else:
                    if not line.endswith(b"\n"):
                        return
                    answer = self.answer(line)
            writer.write(json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
            async with asyncio.timeout(self._patience_s):
                await writer.drain()
            if not line:
                return

    def answer(self, line: bytes) -> dict[str, Any]:
        """Answer one request; whatever it is, nothing is raised."""
        try:
            ask, arguments = _read(line)
        except ValueError as error:
            return {"error": str(error)}
        try:
            said = port.to_json(getattr(self._cockpit, ask)(**arguments), OPERATIONS[ask].gives)
            answer = {"said": said}
        except ItbError as error:
            answer = {"error": str(error)}
        except Exception as error:  # noqa: BLE001  a fault of ours must not end the bot
            _log.exception("control: %s failed", ask)
            answer = {"error": f"{ask}: unexpected {type(error).__name__}: {error}"}
        if OPERATIONS[ask].changes:
            self._commanded(ask, arguments, str(next(iter(answer.values()))))
        clean: dict[str, Any] = cleaned(answer)
        return clean


def _read(line: bytes) -> tuple[str, dict[str, Any]]:
    try:
        sent = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError('expected a line of JSON such as {"ask": "status"}') from None
    ask = sent.get("ask") if isinstance(sent, dict) else None
    if not isinstance(ask, str) or ask not in OPERATIONS:
        raise ValueError(f'expected "ask" to be one of {", ".join(OPERATIONS)}')
    arguments = sent.get("with", {})
    takes = OPERATIONS[ask].takes
    if not isinstance(arguments, dict) or not set(sent) <= {"ask", "with"}:
        raise ValueError(f'{ask}: expected "with" to be a table of {", ".join(takes) or "nothing"}')
    for name, value in arguments.items():
        if name not in takes or not isinstance(value, takes[name]) or (type(value) is bool and bool not in takes[name]):
            raise ValueError(f"{ask}: {name} = {value!r}"[:200] + f"; it takes {', '.join(takes) or 'nothing'}")
        if isinstance(value, int) and not 0 <= value <= 1_000_000:
            raise ValueError(f"{ask}: {name} must be between 0 and 1,000,000, was {value}"[:200])
    if "by" in takes:
        arguments.setdefault("by", "terminal")
    return ask, arguments


class RemoteCockpit:
    """The cockpit of a bot that runs in another process; every call is one request.

    Raises :class:`itb.live.run.socket_file.NotRunningError` when nobody listens, and :class:`itb.errors.ItbError` with
    the bot's own words when it refuses.
    """

    def __init__(self, folder: Path, timeout_s: float = 10.0) -> None:
        self._folder, self._timeout_s = folder, timeout_s

    def status(self) -> port.Status:
        """As :meth:`itb.live.cockpit.Cockpit.status`."""
        return self._ask(port.Status, "status")

    def orders(self, ended: int = 0) -> tuple[port.OrderLine, ...]:
        """As :meth:`itb.live.cockpit.Cockpit.orders`."""
        return self._ask(tuple[port.OrderLine, ...], "orders", ended=ended)

    def trades(self, most: int = 20) -> tuple[port.TradeLine, ...]:
        """As :meth:`itb.live.cockpit.Cockpit.trades`."""
        return self._ask(tuple[port.TradeLine, ...], "trades", most=most)

    def balance(self) -> tuple[port.BalanceLine, ...]:
        """As :meth:`itb.live.cockpit.Cockpit.balance`."""
        return self._ask(tuple[port.BalanceLine, ...], "balance")

    def pause(self, by: str) -> str:
        """As :meth:`itb.live.cockpit.Cockpit.pause`."""
        return self._ask(str, "pause", by=by)

    def resume(self, by: str) -> str:
        """As :meth:`itb.live.cockpit.Cockpit.resume`."""
        return self._ask(str, "resume", by=by)

    def close(self, by: str, symbol: str = "", strategy: str = "") -> str:
        """As :meth:`itb.live.cockpit.Cockpit.close`."""
        return self._ask(str, "close", by=by, symbol=symbol, strategy=strategy)

    def stop(self, by: str, *, cancel: bool | None = None) -> str:
        """As :meth:`itb.live.cockpit.Cockpit.stop`."""
        return self._ask(str, "stop", by=by, cancel=cancel)

    def _ask(self, gives: type[Value], ask: str, **arguments: Any) -> Value:
        answer = request(self._folder, {"ask": ask, "with": arguments}, self._timeout_s)
        if "said" not in answer:
            raise ItbError(str(answer.get("error") or f"{ask}: an answer without words; is the bot an older itb?"))
        try:
            return port.from_json(gives, answer["said"])
        except ValueError:
            raise ItbError(
                f"{ask}: the bot answers in other words than this itb; use the version that runs it"
            ) from None


def request(folder: Path, sent: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
    """Send one request to the bot of a folder and give its answer."""
    with dial(folder, timeout_s) as connection:
        received = bytearray()
        try:
            connection.sendall(json.dumps(sent).encode() + b"\n")
            while not received.endswith(b"\n") and len(received) < _LONGEST_ANSWER:
                part = connection.recv(65_536)
                if not part:
                    break
                received += part
        except TimeoutError:
            raise ItbError(
                f"{folder}: the bot has not answered for {timeout_s:g} s; it may be busy, ask again, or look at its log"
            ) from None
        except OSError as error:
            raise NotRunningError(f"{folder}: the bot went away while it was asked ({error.strerror})") from None
    try:
        answer = json.loads(received)
    except ValueError:
        raise NotRunningError(f"{folder}: the bot went away before it answered") from None
    return answer if isinstance(answer, dict) else {}
