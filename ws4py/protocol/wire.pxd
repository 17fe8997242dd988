# Types for the compiled build of wire.py; the logic is all there.
cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize

from ws4py.protocol.mask cimport mask, rotate, unmask, unmask_here, unmask_into, unmask_part
from ws4py.protocol.storage cimport storage

cdef extern from *:
    """
    #include <string.h>
    """
    void *memcpy(void *out, const void *source, size_t size) noexcept nogil

cdef inline bytes pack_medium(int first, int second, Py_ssize_t length):
    cdef unsigned char[4] head
    head[0] = first
    head[1] = second
    head[2] = length >> 8
    head[3] = length & 0xFF
    return PyBytes_FromStringAndSize(<const char *> head, 4)

cdef inline bytes glue(bytes head, bytes payload):
    cdef Py_ssize_t first = len(head), second = len(payload)
    cdef bytes out = PyBytes_FromStringAndSize(NULL, first + second)
    memcpy(<char *> out, <const char *> head, first)
    memcpy((<char *> out) + first, <const char *> payload, second)
    return out

cdef inline bytes cut(bytes buffer, Py_ssize_t start, Py_ssize_t stop):
    return PyBytes_FromStringAndSize((<const char *> buffer) + start, stop - start)

# Bytes that nobody else holds yet are written to as C would.

cdef inline bytes enlarged(bytes old, Py_ssize_t used, Py_ssize_t size):
    """Bytes of this size, to be filled; the first ``used`` are those of ``old``."""
    cdef bytes new = storage.take(size)
    if used:
        memcpy(<char *> new, <const char *> old, used)
    return new

cdef inline copy(bytes target, Py_ssize_t offset, bytes source, Py_ssize_t start, Py_ssize_t size):
    memcpy((<char *> target) + offset, (<const char *> source) + start, size)

cdef bint COMPILED

cdef list _SHORT_HEADS

cpdef bytes encode_head(int opcode, Py_ssize_t length, bint fin, bint rsv1, bint masked)
@cython.locals(head=bytes)
cpdef bytes encode_frame(int opcode, bytes payload, bint fin=*, bint rsv1=*, bytes key=*)
cdef bytes medium_head(int first, int second, Py_ssize_t length)
cdef bytes join(bytes head, bytes payload)
cdef bytes part(bytes buffer, Py_ssize_t start, Py_ssize_t stop)

cdef class Assembly:
    cdef readonly int opcode
    cdef readonly object inflater
    cdef long long limit
    cdef list pieces
    cdef readonly bytes body
    cdef readonly long long size
    cdef public Py_ssize_t fragments
    cdef object utf8

    cpdef add(self, bytes piece)
    @cython.locals(come="long long", room="long long")
    cdef make_room(self, long long length, long long coming)
    cpdef bytes finish(self)
    cdef _store(self, bytes piece, bint final)
    cdef _refuse_surrogate(self)

cdef class Decoder:
    cdef public bint check_text
    cdef public bint expect_masking
    cdef readonly int fragment_of
    cdef readonly int fragment_opcode
    cdef public bint piecewise
    cdef public long long max_size
    cdef public Py_ssize_t max_fragments
    cdef public object inflater
    cdef readonly int opcode
    cdef readonly bytes payload
    cdef readonly str text
    cdef bytes _buffer
    cdef Py_ssize_t _end
    cdef bint _large
    cdef bint _starved
    cdef bint _lent
    cdef Py_ssize_t _position
    cdef readonly Assembly _message
    cdef bint _in_frame
    cdef readonly bint _fin
    cdef long long _remaining
    cdef bytes _key

    cpdef receive(self, data, Py_ssize_t size=*)
    cpdef keep(self)
    cpdef bint has_input(self) except -1
    @cython.locals(message=Assembly, wanted="long long")
    cpdef bytes body(self)
    cpdef long long body_size(self) except -1
    @cython.locals(message=Assembly)
    cpdef receive_body(self, bytes body, Py_ssize_t size)
    cpdef Py_ssize_t read_size(self, Py_ssize_t most) except -1
    @cython.locals(start=Py_ssize_t, body=bytes, filled=Py_ssize_t, key=bytes)
    cdef _fill_body(self, Assembly message, Py_ssize_t take)
    cdef _fill_more(self, Assembly message, Py_ssize_t size)
    cdef _let_go(self)
    cdef _shorten(self)
    cpdef discard(self)
    @cython.locals(
        buffer=bytes,
        position=Py_ssize_t,
        end=Py_ssize_t,
        first=int,
        second=int,
        masked=int,
        plain=bint,
        length="long long",
        start=Py_ssize_t,
        stop=Py_ssize_t,

    )
    cpdef bint next_message(self) except -1
    cdef bint _wait(self) except -1
    cdef _check_header(self, int first, int second)
    @cython.locals(buffer=bytes)
    cdef long long _long_length(self, int marker, Py_ssize_t position) except -1
    @cython.locals(limit="long long", message=Assembly)
    cdef _check_size(self, int first, long long length)
    @cython.locals(buffer=bytes)
    cdef _take_control(self, int first, Py_ssize_t start, Py_ssize_t stop, int masked)
    @cython.locals(message=Assembly)
    cdef _begin_fragment(self, int first, Py_ssize_t start, long long length, int masked)
    @cython.locals(
        available=Py_ssize_t, take=Py_ssize_t, start=Py_ssize_t, piece=bytes, message=Assembly
    )
    cdef bint _read_payload(self) except -1
    @cython.locals(message=Assembly)
    cdef bint _end_fragment(self) except -1
    cdef _give_fragment(self, Assembly message)
    cdef str _decode(self, bytes payload)
