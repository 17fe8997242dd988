# Types for the compiled build of transport.py; the logic is all there.
cimport cython

from ws4py.lock cimport Lock
from ws4py.protocol.connection cimport Connection
from ws4py.reactor cimport Channel, Reactor
from ws4py.syscalls cimport ReadBuffer, fill_rest, wait_some, write_pieces, write_some

cdef object CLOSED
cdef Py_ssize_t CORK_SIZE, READ_SIZE
cdef int READ, WRITE

cdef class Driven:
    cdef public Connection stream

    cdef _data_received(self, data, Py_ssize_t size=*)

cdef class Transport(Channel):
    cdef public Lock lock
    cdef public bint is_secure
    cdef public object on_room

    cpdef bint may_block(self) except -1
    cpdef flush(self, Driven ws, bint now=*)
    cpdef wait_sent(self, Driven ws)
    cpdef bint pause(self) except -1
    cpdef proceed(self)
    cpdef write_dirty(self)
    cpdef close(self)

cdef class _SocketTransport(Transport):
    cdef public bint _eof_sent
    cdef public int _fd
    cdef public bint _gathers
    cdef public object _rest
    cdef public object sock
    cdef public Driven ws

    cpdef Py_ssize_t _receive_body(self, Connection stream, bytes body) except? -1
    @cython.locals(stream=Connection, sent=Py_ssize_t, pieces=list)
    cpdef bint _write(self, Driven ws) except -1
    cpdef Py_ssize_t _offer(self, Driven ws, data) except? -1
    @cython.locals(index=Py_ssize_t, piece=bytes)
    cpdef bint _all_taken(self, Connection stream, list pieces, Py_ssize_t sent) except -1
    cpdef _keep(self, Connection stream, data, Py_ssize_t sent)
    cpdef Py_ssize_t _send(self, data) except -1
    cpdef _broken(self, Driven ws)
    cpdef _half_close(self)

cdef class BlockingTransport(_SocketTransport):
    @cython.locals(size=Py_ssize_t, data=bytes, body=bytes)
    cpdef bint receive(self, Driven ws, timeout=*) except -1
    cdef bint _waits_for_more(self) except -1
    cpdef _received(self)
    @cython.locals(received=bytes)
    cpdef bytes _next_data(self, timeout)

    cdef public bint _bulk
    cdef public bint _closed
    cdef public bint _fresh
    cdef public bint _greedy
    cdef public object _held
    cdef public Py_ssize_t _held_size
    cdef public object _successor
    cdef public object _reader
    cdef public bint _real
    cdef public bint _receiving
    cdef public object _runtime
    cdef public Py_ssize_t _waiters
    cdef public bint _waits
    cdef public bint _watched

cdef class SocketReactor(Reactor):
    cdef public list dirty
    cdef public ReadBuffer buffer

    cpdef soon(self, Transport transport)
    @cython.locals(dirty=list, batch=list, transport=Transport)
    cpdef served(self)

cdef class PolledTransport(_SocketTransport):
    cdef public bint _at_end
    cdef public bint _delivering
    cdef public bint _dirty
    cdef public bint _ending
    cdef public int _interest
    cdef public bint _paused
    cdef public bint _tls_wants_write
    cdef public object on_end
    cdef public SocketReactor reactor

    @cython.locals(stream=Connection)
    cpdef flush(self, Driven ws, bint now=*)
    @cython.locals(ws=Driven, stream=Connection, buffer=ReadBuffer, size=Py_ssize_t, body=bytes)
    cpdef bint _read(self) except -1
    cpdef bytes _receive_tls(self)
    @cython.locals(stream=Connection)
    cpdef write(self, Driven ws)
    @cython.locals(wanted=int)
    cpdef _update_interest(self)
    cpdef _end_soon(self)
