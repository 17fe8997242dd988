# Types for the compiled build of connection.py; the logic is all there.
cimport cython

from ws4py.messaging cimport (
    BinaryMessage,
    CloseControlMessage,
    Message,
    PingControlMessage,
    PongControlMessage,
    TextMessage,
    received_binary,
    received_close,
    received_text,
)
from ws4py.clock cimport read_clock
from ws4py.protocol.mask cimport mask
from ws4py.protocol.tray cimport Tray
from ws4py.protocol.wire cimport Decoder, encode_frame, encode_head

cdef Tray tray
cdef object _OPEN
cdef int OPCODE_BINARY, OPCODE_CLOSE, OPCODE_CONTINUATION, OPCODE_PING, OPCODE_PONG, OPCODE_TEXT
cdef Py_ssize_t APART, LARGE, MAX_FRAME_HEAD, MOST_PIECES, WORTH_A_PIECE

cdef class OutgoingMessage:
    cdef public Connection _connection
    cdef public int _opcode
    cdef public object _compress
    cdef public bint _started
    cdef public bint _finished
    cdef public list _waiting

cdef class PreparedMessage:
    cdef readonly bytes payload
    cdef readonly bint binary
    cdef readonly int opcode
    cdef bytes _plain
    cdef dict _compressed

    cdef bytes plain(self)
    cdef bytes compressed(self, deflate)

cdef class Connection:
    cdef public object _asked
    cdef public object _backlog
    cdef public object _close_info
    cdef public bint _deaf
    cdef readonly Decoder _decoder
    cdef public object _ended_at
    cdef public bint _forgiven
    cdef public double _last_received
    cdef public list _out
    cdef public object _ping
    cdef public object _ping_at
    cdef public double _pings_from
    cdef public object _pong
    cdef public object _pong_at
    cdef public Py_ssize_t _queued
    cdef public object _received_close
    cdef public object _sent_close
    cdef public Py_ssize_t _waiting
    cdef public OutgoingMessage _writer
    cdef public bint always_mask
    cdef public object began_by
    cdef public long long bytes_in
    cdef public long long bytes_out
    cdef public bint client
    cdef public object clock
    cdef public object config
    cdef public object deadline
    cdef public object deflate
    cdef public object error
    cdef public bint held
    cdef public Py_ssize_t high_water
    cdef public object key_source
    cdef public object last_ping
    cdef public object latency
    cdef public long long messages_in
    cdef public long long messages_out
    cdef public object state
    cdef public Py_ssize_t unsent
    cdef public bint want_abort
    cdef public bint want_eof

    cpdef receive_data(self, data, Py_ssize_t size=*)
    cpdef bytes body(self)
    cpdef Py_ssize_t body_size(self) except -1
    cpdef receive_body(self, bytes body, Py_ssize_t size)
    cpdef Py_ssize_t read_size(self, Py_ssize_t most) except -1
    cpdef keep_data(self)
    cpdef bint has_input(self) except -1
    cpdef Py_ssize_t owed(self) except -1
    cpdef Py_ssize_t queued(self) except -1
    cpdef send_message(self, bytes payload, bint binary=*, compress=*)
    @cython.locals(frame=bytes)
    cpdef send_prepared(self, PreparedMessage message)
    @cython.locals(decoder=Decoder, opcode=int)
    cpdef Message next_event(self)
    @cython.locals(out=list, data=bytes)
    cpdef bytes data_to_send(self)
    @cython.locals(count=Py_ssize_t)
    cpdef bint is_scattered(self) except -1
    @cython.locals(out=list, piece=bytes, size=Py_ssize_t)
    cpdef list pieces_to_send(self)
    cpdef take_back(self, list pieces)
    @cython.locals(out=list, count=Py_ssize_t)
    cdef bytes _take_some(self)
    @cython.locals(out=list, head=bytes, key=bytes)
    cpdef _queue(self, int opcode, bytes payload, bint fin=*, bint rsv1=*)
    cpdef _send_whole(self, int opcode, bytes payload, compress)
    cpdef bint _compresses(self, bytes payload, wish) except -1
