"""Two ends of a connection joined back to back: no socket, no thread, no real time.

``Pair`` does what a driver and TCP would do, by the contract in ``ws4py.protocol.connection``::

    pair = Pair(clock)
    pair.client.connection.send_message(b"hello")
    pair.pump()
    assert pair.server.texts == ["hello"]
    pair.server.connection.send_close(1001, "bye")
    pair.pump()
    assert pair.client.info.code == 1001

Set ``end.reads = False`` and this end takes nothing from the network any more: what its peer
sends stays behind as ``unsent``. ``pass_time`` lets time pass, with a tick at each deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fakeclock import FakeClock

from ws4py.messaging import Message
from ws4py.protocol.config import DEFAULT, Compression, Config
from ws4py.protocol.connection import CloseInfo, Connection, State
from ws4py.protocol.deflate import PerMessageDeflate

#: How a driver's reads cut the stream.
Split = Callable[[bytes], Iterable[bytes]]


def in_one_piece(data: bytes) -> Iterable[bytes]:
    return [data]


def byte_by_byte(data: bytes) -> Iterable[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


class End:
    """One end: its connection, what was delivered, and what its driver has done to the socket."""

    def __init__(self, connection: Connection, split: Split = in_one_piece) -> None:
        self.connection = connection
        self.split = split
        self.events: list[Message] = []
        #: Everything that was written, as it went over the network.
        self.wire = b""
        self.reads = True
        self.wrote_eof = False
        self.got_eof = False
        #: The socket is closed, after everything was written or by an abort.
        self.hung_up = False
        self.aborted = False
        self._rest = b""

    @property
    def texts(self) -> list[str]:
        """The text messages that came."""
        return [str(event) for event in self.events if event.is_text]

    @property
    def payloads(self) -> list[tuple[bool, bytes]]:
        """The data messages that came, as ``(binary, payload)``."""
        return [(e.is_binary, e.data) for e in self.events if e.is_text or e.is_binary]

    @property
    def info(self) -> CloseInfo:
        """The close report, which has to be there."""
        info = self.connection.close_info
        assert info is not None, f"not closed but {self.connection.state}"
        return info

    def receive(self, data: bytes) -> None:
        """Bytes from the network; whatever they make goes to ``events``."""
        for piece in self.split(data):
            self.connection.receive_data(piece)
            while (event := self.connection.next_event()) is not None:
                self.events.append(event)

    def receive_eof(self, error: BaseException | None = None) -> None:
        """The peer's driver has hung up, or half-closed."""
        self.got_eof = True
        self.connection.receive_eof(error)

    def write_to(self, peer: End) -> bool:
        """Write what is owed as far as ``peer`` reads; whether anything moved."""
        connection = self.connection
        if self.hung_up:
            return False
        moved = False
        if not connection.want_abort:
            data = self._rest or connection.data_to_send()
            if data and not peer.reads:
                self._rest, data = data, b""
                connection.unsent = len(self._rest)
            elif data:
                self._rest = b""
                connection.unsent = 0
                self.wire += data
                peer.receive(data)
                moved = True
        return self._end_output(peer) or moved

    def _end_output(self, peer: End) -> bool:
        connection = self.connection
        if connection.want_abort:
            self.hung_up = self.aborted = True
            peer.receive_eof(ConnectionResetError("reset by peer"))
            return True
        if connection.buffered:
            return False
        if connection.state is State.CLOSED:
            self.hung_up = True
        elif not connection.want_eof or self.wrote_eof:
            return False
        if not self.wrote_eof:
            self.wrote_eof = True
            peer.receive_eof()
        return True


class Pair:
    """A client and a server. ``compression``: both negotiated permessage-deflate with this."""

    def __init__(
        self,
        clock: FakeClock,
        *,
        client: Config = DEFAULT,
        server: Config = DEFAULT,
        compression: Compression | None = None,
        split: Split = in_one_piece,
    ) -> None:
        self.clock = clock

        def end(is_client: bool, config: Config) -> End:
            deflate = None
            if compression is not None:
                deflate = PerMessageDeflate(client=is_client, compression=compression)
            connection = Connection(client=is_client, config=config, clock=clock, deflate=deflate)
            return End(connection, split)

        self.client = end(True, client)
        self.server = end(False, server)

    def pump(self) -> None:
        """Move everything that can move, both ways, until nothing does."""
        while self.client.write_to(self.server) | self.server.write_to(self.client):
            pass

    def pass_time(self, seconds: float) -> None:
        """Let time pass. Each end is ticked at its deadlines, never earlier than they say."""
        until = self.clock() + seconds
        while True:
            deadlines = [
                end.connection.deadline
                for end in (self.client, self.server)
                if end.connection.deadline is not None and not end.hung_up
            ]
            if not deadlines or min(deadlines) > until:
                break
            self.clock.advance_to(min(deadlines))
            self.tick()
            for end in (self.client, self.server):
                deadline = end.connection.deadline
                moved_on = end.hung_up or deadline is None or deadline > self.clock()
                assert moved_on, "tick() has not acted on a due deadline"
        self.clock.advance_to(until)
        self.tick()

    def tick(self) -> None:
        """What both alarms do when they ring at this moment."""
        for end in (self.client, self.server):
            if not end.hung_up:
                end.connection.tick()
        self.pump()
