"""HTTP on 127.0.0.1 that delivers the replies of a venue or an archive, broken ones included."""

from __future__ import annotations

import http.server
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlsplit

from .venue import Reply

Answer = Callable[[str, dict[str, str]], Reply]


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """Serve until the block ends; gives the base address."""
    released = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            reply = answer(parts.path, dict(parse_qsl(parts.query)))
            if reply.ending == "hang":
                released.wait(120)
                self.close_connection = True
            elif reply.ending == "reset":
                self._reset()
            else:
                self._deliver(reply)

        def _deliver(self, reply: Reply) -> None:
            is_cut = reply.ending == "cut"
            content = b"HTTP/1.1 %d %s\r\n" % (reply.status, self.responses.get(reply.status, ("",))[0].encode())
            for name, value in reply.headers.items():
                content += f"{name}: {value}\r\n".encode()
            content += b"Content-Length: %d\r\n\r\n" % (len(reply.body) + 10 * is_cut)
            try:
                self.wfile.write(content + reply.body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client was killed
            self.close_connection |= is_cut

        def _reset(self) -> None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_RD)
            self.close_connection = True
            self.connection.close()

        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # the client went away in the middle

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            released.set()
            server.shutdown()
            thread.join()
