"""The blocking client's own verbs; what all clients have in common is under conformance."""

from __future__ import annotations

import threading

import pytest
from backends import QUICK
from conversation import Background, read_text
from rawpeer import CLOSE, PING, PONG, TEXT, make_frame
from waiting import wait_for

from ws4py.client.syncclient import connect
from ws4py.exc import ConnectionClosed

SMALL = QUICK.replace(high_water=1000)


@pytest.fixture(params=[False, True], ids=["caller-reads", "background"])
def background(request):
    return request.param


@pytest.fixture
def meet(raw_server, background):
    """A client and its raw peer after the handshake."""
    clients = []

    def meet(**options):
        def accept():
            peer = raw_server.accept()
            peer.handshake()
            return peer

        accepting = Background(accept)
        options.setdefault("config", QUICK)
        options.setdefault("background", background)
        clients.append(connect(raw_server.url, **options))
        return clients[-1], accepting.result()

    yield meet
    for client in clients:
        client.close_connection()
        client.close()


def farewell(peer, code=1000, reason=""):
    """A server's clean end."""
    peer.close_frame(code, reason)
    peer.read_close()
    peer.close()


def test_str_is_text_and_bytes_is_binary(meet):
    client, peer = meet()
    for message in ("text", b"binary", bytearray(b"also"), iter(["in ", "pieces"]), iter([b"b"])):
        client.send(message)
    frames = [peer.read_frame() for _ in range(6)]
    assert [frame.opcode for frame in frames] == [1, 2, 2, 1, 0, 2]
    peer.text("żółw")
    peer.binary(b"\xff")
    assert client.recv(timeout=5) == "żółw"
    assert client.recv(timeout=5) == b"\xff"


def test_a_timeout_loses_nothing(meet):
    client, peer = meet()
    frame = make_frame(TEXT, b"in two halves")
    peer.send(frame[:4])
    with pytest.raises(TimeoutError):
        client.recv(timeout=0.05)
    with pytest.raises(TimeoutError):
        client.recv(timeout=0)
    peer.send(frame[4:])
    assert client.recv(timeout=5) == "in two halves"


def test_iteration_ends_with_the_connection(meet):
    client, peer = meet()
    peer.text("one")
    peer.text("two")
    ending = Background(farewell, peer)
    assert list(client) == ["one", "two"]
    ending.result()
    with pytest.raises(ConnectionClosed) as caught:
        client.recv()
    assert caught.value.close_info is client.close_info
    assert client.close_info.code == 1000
    with pytest.raises(ConnectionClosed):
        client.send("late")


@pytest.mark.parametrize("how", ["an error code", "no close frame"])
def test_iteration_over_what_breaks_raises(meet, how):
    client, peer = meet()
    peer.text("one")
    ending = Background(farewell, peer, 1011, "oh") if how == "an error code" else None
    if ending is None:
        peer.close()
    got = []
    with pytest.raises(ConnectionClosed) as caught:
        got.extend(client)
    assert caught.value.close_info.code == (1011 if ending else 1006)
    if ending:
        ending.result()


def test_the_context_manager_closes(meet):
    client, peer = meet()
    answering = Background(farewell, peer)
    with client:
        pass
    answering.result()
    assert client.terminated
    assert client.close_info.clean


def test_close_waits_no_longer_than_the_close_timeout(meet):
    client, peer = meet(config=QUICK.replace(close_timeout=0.1))
    client.close()
    assert client.close_info.code == 1006
    assert peer.read_close().close_code == 1000


def test_what_came_before_the_end_can_be_received_after_close(meet):
    client, peer = meet()
    peer.text("on its way")
    answering = Background(farewell, peer)
    client.close()
    answering.result()
    assert client.recv() == "on its way"
    with pytest.raises(ConnectionClosed):
        client.recv()


def test_close_wakes_a_receiver(meet):
    client, peer = meet()
    receiving = Background(client.recv)
    wait_for(lambda: client._driver)
    answering = Background(farewell, peer)
    client.close()
    with pytest.raises(ConnectionClosed):
        receiving.result()
    answering.result()


def test_a_ping_can_be_waited_for(meet):
    client, peer = meet()
    first, second = client.ping("1"), client.ping("2")
    assert [peer.read_frame().opcode for _ in range(2)] == [PING, PING]
    with pytest.raises(TimeoutError):
        first.wait(0.05)
    peer.text("before the pong")
    peer.pong(b"2")
    assert 0 <= second.wait(5) < 5
    assert first.latency is not None
    assert client.recv(timeout=5) == "before the pong"


def test_the_end_wakes_who_waits_for_a_pong(meet):
    client, peer = meet()
    pong = client.ping()
    peer.close()
    with pytest.raises(ConnectionClosed):
        pong.wait(5)


def test_each_message_goes_to_one_of_several_receivers(meet):
    client, peer = meet()
    receivers = [Background(lambda: list(client)) for _ in range(4)]
    for n in range(400):
        peer.text(str(n))
    farewell(peer)
    got = [receiver.result() for receiver in receivers]
    assert sorted(int(text) for part in got for text in part) == list(range(400))
    assert all(part == sorted(part, key=int) for part in got)


def test_pings_of_the_server_are_answered(meet, background):
    client, peer = meet()
    peer.ping(b"there?")
    if not background:
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.05)
    frame = peer.read_frame()
    assert (frame.opcode, frame.payload) == (PONG, b"there?")


def test_nothing_is_read_while_too_much_waits(meet, background):
    client, peer = meet(config=SMALL)
    for _ in range(3):
        peer.text("x" * 600)
    peer.ping(b"behind")
    if background:
        assert peer.silent_for(0.1)  # two are in the queue, the third is in the reader's hands
    for _ in range(3):
        assert client.recv(timeout=5) == "x" * 600
    if not background:
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.05)
    assert peer.read_frame().payload == b"behind"


def test_too_much_before_a_pong_has_to_be_received_first(meet, background):
    if background:
        pytest.skip("the reader in the background stops there")
    client, peer = meet(config=SMALL)
    pong = client.ping("?")
    for _ in range(3):
        peer.text("x" * 600)
    peer.pong(b"?")
    with pytest.raises(BufferError):
        pong.wait(5)
    for _ in range(3):
        assert client.recv(timeout=5) == "x" * 600
    assert pong.wait(5) >= 0


def test_messages_sent_while_another_thread_receives(meet):
    client, peer = meet()
    receiving = Background(client.recv, 5)
    client.send("question")
    assert read_text(peer) == "question"
    peer.text("answer")
    assert receiving.result() == "answer"


def test_a_close_from_a_signal_handler_ends_recv(meet, background):
    """The handler interrupts ``recv()`` of its own thread: here a hook stands in for it."""
    if background:
        pytest.skip("nobody is interrupted")
    client, peer = meet()
    client.ponged = lambda pong: client.close(4000, "interrupted")
    peer.pong(b"now")
    receiving = Background(client.recv)
    assert peer.read_close().close_code == 4000
    peer.send_frame(CLOSE, b"\x0f\xa0")
    peer.close()
    with pytest.raises(ConnectionClosed):
        receiving.result()


def test_two_threads_close(meet):
    client, peer = meet()
    gate = threading.Barrier(2)

    def close():
        gate.wait(5)
        client.close()

    answering = Background(farewell, peer)
    closing = [Background(close) for _ in range(2)]
    for each in closing:
        each.result()
    answering.result()
    assert client.close_info.clean
