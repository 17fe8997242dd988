"""The opening handshake on a thread that waits for it, for servers with one for each connection.

It must never know frames, nor what becomes of a websocket.
"""

from __future__ import annotations

import logging
import socket
import time
from typing import Any

from ws4py.protocol.handshake import Response
from ws4py.runtime import close_socket
from ws4py.server import FAREWELL, BaseServer
from ws4py.syscalls import READ_SIZE
from ws4py.transport import drive_handshake, end_output
from ws4py.websocket import WebSocket

__all__ = ["BlockingOpening"]

logger = logging.getLogger("ws4py.server")


class BlockingOpening:
    """One connection, from its TLS handshake on, until it is a websocket or has its answer."""

    def __init__(self, server: BaseServer, sock: socket.socket, peer: Any) -> None:
        self.server = server
        self.sock: Any = sock
        self.peer = peer
        self.handshake = server.new_handshake(peer)
        self._cut = False

    def run(self) -> WebSocket | None:
        """Shake hands; the websocket, whose response is still to be written, if there is one."""
        try:
            return self._open()
        except (OSError, ValueError) as exc:
            logger.info("opening handshake with %s broke: %s", self.peer, exc)
            return None

    def _open(self) -> WebSocket | None:
        server, handshake = self.server, self.handshake
        self.sock = server.prepare(self.sock)
        if self._cut:
            return None  # cut() may have met the socket that prepare() took away
        self.sock.setblocking(True)
        if server.ssl is not None:
            end = handshake.deadline
            self.sock.settimeout(None if end is None else max(0.001, end - time.monotonic()))
            self.sock.do_handshake()
        drive_handshake(
            self.sock,
            handshake,
            lambda: bool(handshake.request or handshake.response or handshake.error),
        )
        if handshake.request is None and handshake.response is None:
            return None  # came and went without a word
        response = handshake.response or server.answer(handshake)
        if handshake.accepted:
            try:
                return server.upgrade(self.sock, handshake, self.peer)
            except Exception:
                response = server.failed(handshake)
        self._refuse(response)
        return None

    def _refuse(self, response: Response) -> None:
        """Answer, and read on until the peer has hung up: earlier could destroy the answer."""
        logger.info("refused %s with %d", self.peer, response.status)
        sock, end = self.sock, time.monotonic() + FAREWELL
        sock.settimeout(FAREWELL)
        sock.sendall(response.serialize())
        sock.settimeout(0)  # TLS has a farewell of its own, whose answer nobody needs
        end_output(sock)
        while (left := end - time.monotonic()) > 0:
            sock.settimeout(left)
            if not sock.recv(READ_SIZE):
                return

    def cut(self) -> None:
        """Have ``run()`` end now. Any thread."""
        self._cut = True
        try:
            # Not the TLS layer's shutdown: that would take the session away under the reader.
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)
        except OSError:
            logger.debug("%s had gone already", self.peer)

    def close(self) -> None:
        """Close the socket."""
        close_socket(self.sock)
