"""The way to a server without a network: which steps an opening asks for, and in which order.

The sockets are stand-ins and the clock is the test's. What real sockets do with it is in the
conformance tests, what is said when it fails in ``test_client_errors``.
"""

from __future__ import annotations

import errno
import socket
import ssl

import pytest

from ws4py.client.attempt import attempt
from ws4py.client.dial import Network, drive
from ws4py.client.route import STAGGER, Deadline, LookUp, Sockets, Wait, Way, interleaved
from ws4py.exc import ConnectionTimeout, HandshakeError
from ws4py.protocol.config import DEFAULT, Config
from ws4py.protocol.handshake import ClientHandshake
from ws4py.protocol.uri import parse_uri

V4, V6 = socket.AF_INET, socket.AF_INET6


class StandIn:
    """A socket: ``codes`` is what its ``connect_ex`` gives, ``result`` what became of it."""

    def __init__(self, codes=(errno.EINPROGRESS,)):
        self.codes = list(codes)
        self.result = 0
        self.address = None
        self.closed = False
        self.options = []
        self.bound = None

    def settimeout(self, timeout):
        assert timeout == 0

    def connect_ex(self, address):
        self.address = address
        return self.codes.pop(0)

    def getsockopt(self, *which):
        return self.result

    def setsockopt(self, *option):
        self.options.append(option)

    def bind(self, address):
        self.bound = address

    def send(self, data):
        raise BlockingIOError

    def close(self):
        self.closed = True


class Opening:
    """Steps of an attempt, taken by hand."""

    def __init__(self, clock, url="ws://many.test/", config=DEFAULT, makers=(), **way):
        self.clock = clock
        self.made = []
        self.makers = list(makers)
        uri = parse_uri(url)
        self.handshake = ClientHandshake(uri, config=config, clock=clock)
        deadline = Deadline(config, clock)
        self.steps = attempt(uri, self.handshake, Way(**way), deadline, Sockets(self.new_socket))
        self.step = next(self.steps)

    def new_socket(self, *kind):
        maker = self.makers.pop(0) if self.makers else StandIn
        sock = maker()
        sock.kind = kind
        self.made.append(sock)
        return sock

    def go_on(self, result):
        self.step = self.steps.send(result)
        return self.step

    def found(self, *addresses):
        """The name has these addresses."""
        assert isinstance(self.step, LookUp)
        return self.go_on([(V6 if ":" in a else V4, 1, 6, "", (a, 80)) for a in addresses])

    @property
    def tried(self):
        return [sock.address[0] for sock in self.made]


def in_vain(*makers):
    """Sockets that are refused at once."""
    return [lambda: StandIn([errno.ECONNREFUSED]) for _ in makers]


# -- Happy Eyeballs ------------------------------------------------------------------------


def test_families_take_turns():
    found = [(family, n) for n, family in enumerate([V6, V6, V6, V4, V4])]
    assert interleaved(found) == [(V6, 0), (V4, 3), (V6, 1), (V4, 4), (V6, 2)]
    assert interleaved([]) == []


def test_the_first_address_has_a_head_start(clock):
    opening = Opening(clock)
    step = opening.found("::1", "::2", "127.0.0.1")
    assert opening.tried == ["::1"]
    assert step == Wait({opening.made[0]: 4}, STAGGER)


def test_a_slow_address_is_not_waited_for(clock):
    opening = Opening(clock)
    opening.found("::1", "::2", "127.0.0.1")
    clock.advance(STAGGER)
    step = opening.go_on([])
    assert opening.tried == ["::1", "127.0.0.1"]
    assert set(step.sockets) == set(opening.made)
    clock.advance(STAGGER)
    step = opening.go_on([])
    assert opening.tried == ["::1", "127.0.0.1", "::2"]
    assert step.timeout == 10 - 2 * STAGGER


def test_the_first_that_answers_wins_and_the_others_are_closed(clock):
    opening = Opening(clock)
    opening.found("::1", "127.0.0.1")
    clock.advance(STAGGER)
    opening.go_on([])
    slow, quick = opening.made
    step = opening.go_on([quick])
    assert step == Wait({quick: 4}, 10 - STAGGER)  # for room for the opening handshake
    assert (slow.closed, quick.closed) == (True, False)
    assert (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) in quick.options


def test_of_two_that_answer_at_once_one_is_closed(clock):
    opening = Opening(clock)
    opening.found("::1", "127.0.0.1")
    clock.advance(STAGGER)
    opening.go_on([])
    opening.go_on(list(opening.made))
    assert [sock.closed for sock in opening.made] == [False, True]


def test_after_a_refusal_the_next_address_is_tried_at_once(clock):
    opening = Opening(clock)
    opening.found("::1", "127.0.0.1")
    opening.made[0].result = errno.ECONNREFUSED
    opening.go_on([opening.made[0]])
    assert opening.tried == ["::1", "127.0.0.1"]
    assert opening.made[0].closed


def test_a_family_that_this_machine_lacks_is_passed_over(clock):
    def lacking():
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    opening = Opening(clock, makers=[lacking])
    opening.found("::1", "127.0.0.1")
    assert opening.tried == ["127.0.0.1"]


def test_all_addresses_share_one_deadline(clock):
    opening = Opening(clock, config=Config(open_timeout=1.0))
    opening.found("::1", "127.0.0.1")
    clock.advance(0.9)
    assert opening.go_on([]).timeout == pytest.approx(0.1)
    clock.advance(0.2)
    with pytest.raises(ConnectionTimeout, match="the TCP connection took too long"):
        opening.go_on([])
    assert all(sock.closed for sock in opening.made)


def test_the_part_of_an_opening_can_have_a_time_of_its_own(clock):
    opening = Opening(clock, config=Config(connect_timeout=2.0, handshake_timeout=30.0))
    assert opening.step.timeout == 2.0
    clock.advance(1.5)
    assert opening.found("127.0.0.1").timeout == 2.0
    opening.go_on(opening.made)
    assert opening.step.timeout == 8.5  # of all the time that there is


def test_without_timeouts_nothing_hurries(clock):
    opening = Opening(clock, config=Config(open_timeout=None))
    assert opening.step.timeout is None
    assert opening.found("127.0.0.1").timeout is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, RuntimeError])
def test_whoever_interrupts_it_leaves_nothing_open(clock, error):
    opening = Opening(clock)
    opening.found("::1", "127.0.0.1")
    clock.advance(STAGGER)
    opening.go_on([])
    with pytest.raises(error):
        opening.steps.throw(error())
    assert [sock.closed for sock in opening.made] == [True, True]


# -- other ways ----------------------------------------------------------------------------


def test_a_literal_address_is_not_looked_up(clock):
    opening = Opening(clock, "ws://[::1]:8080/")
    assert isinstance(opening.step, Wait)
    assert opening.made[0].address[:2] == ("::1", 8080)


def test_a_socket_as_it_is_wanted(clock):
    option = (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    opening = Opening(clock, local_addr=("127.0.0.9", 0), socket_options=[option])
    opening.found("127.0.0.1")
    assert (opening.made[0].bound, opening.made[0].options) == (("127.0.0.9", 0), [option])


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")
def test_a_unix_socket_whose_queue_is_full_is_asked_again(clock):
    codes = [errno.EAGAIN, errno.EAGAIN, 0]
    opening = Opening(
        clock, "ws+unix:///run/x.sock", makers=[lambda: StandIn(codes)], local_addr=("::1", 0)
    )
    assert opening.step == Wait({}, 0.02)
    opening.go_on([])
    assert opening.go_on([]) == Wait({opening.made[0]: 4}, 10.0)
    assert (opening.made[0].address, opening.made[0].bound) == ("/run/x.sock", None)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")
def test_a_unix_socket_whose_queue_stays_full_has_a_deadline(clock):
    opening = Opening(clock, "ws+unix:///run/x.sock", makers=[lambda: StandIn([errno.EAGAIN] * 9)])
    clock.advance(11)
    with pytest.raises(ConnectionTimeout):
        opening.go_on([])
    assert opening.made[0].closed


def test_a_wrong_option_is_found_before_connecting(clock):
    with pytest.raises(TypeError, match="unknown ssl_options"):
        Opening(clock, "wss://many.test/", ssl_options={"verify": False})


def test_a_connection_that_breaks_within_the_handshake_says_which_it_was(clock):
    opening = Opening(clock)
    opening.found("127.0.0.1")

    def fail(data):
        raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    opening.made[0].send = fail
    with pytest.raises(TimeoutError) as caught:
        opening.go_on(opening.made)
    assert str(caught.value) == (
        f"[Errno {errno.ETIMEDOUT}] the connection to ws://many.test/ broke (Connection timed "
        "out): is the network up?"
    )
    assert opening.made[0].closed


# -- drivers -------------------------------------------------------------------------------


def test_errors_of_a_step_reach_whoever_asked_for_it():
    def steps():
        try:
            yield LookUp("x", 1, None)
        except OSError as exc:
            got = yield Wait({}, 5)
            return exc.args[0], got

    def fail(*args):
        raise OSError("no")

    network = Network(look_up=fail, wait=lambda sockets, timeout: timeout)
    assert drive(steps(), network) == ("no", 5)


def test_a_late_page_behind_a_refusal_does_not_hide_it():
    """What a server said before it fell silent is told, not the silence."""
    ours, theirs = socket.socketpair()
    config = Config(open_timeout=0.2)
    uri = parse_uri("ws://127.0.0.1/")
    handshake = ClientHandshake(uri, config=config)
    theirs.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nhalf")
    steps = attempt(uri, handshake, Way(sock=ours), Deadline(config), Network())
    with theirs, pytest.raises(HandshakeError) as caught:
        drive(steps, Network())
    assert (caught.value.status, caught.value.body) == (403, b"half")


def test_half_a_request_may_be_written():
    """A proxy that takes the request bit by bit."""
    ours, theirs = socket.socketpair()

    class Slow:
        """Takes seven bytes at a time, and wants to be asked twice."""

        def __init__(self):
            self.asked = False

        def __getattr__(self, name):
            return getattr(ours, name)

        def send(self, data):
            self.asked = not self.asked
            if self.asked:
                raise ssl.SSLWantReadError if len(data) % 2 else BlockingIOError
            return ours.send(data[:7])

    uri = parse_uri("ws://127.0.0.1/")
    config = Config(open_timeout=5)
    handshake = ClientHandshake(uri, config=config)
    waits = []

    def wait(sockets, timeout):
        waits.append(next(iter(sockets.values())))
        if len(waits) > len(handshake.request) // 7 + 1:
            theirs.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        return list(sockets)

    with ours, theirs:
        network = Network(wait=wait)
        with pytest.raises(HandshakeError):
            drive(attempt(uri, handshake, Way(sock=Slow()), Deadline(config), network), network)
        theirs.settimeout(5)
        assert theirs.recv(65536) == handshake.request
    assert {1, 4} == set(waits)
