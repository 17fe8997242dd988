# Types for the compiled build of transport.py; the logic is all there.
cimport cython

from ws4py.lock cimport Lock
from ws4py.protocol.connection cimport Connection
from ws4py.reactor cimport Channel, Reactor
from ws4py.syscalls cimport read_some, write_some

cdef class Transport(Channel):
    cdef public Lock lock
    cdef public bint is_secure

    cpdef bint may_block(self) except -1
    cpdef flush(self, ws, bint now=*)
    cpdef wait_sent(self, ws)
    cpdef bint pause(self) except -1
    cpdef close(self)

cdef class _SocketTransport(Transport):
    cdef public bint _eof_sent
    cdef public object _rest
    cdef public object sock
    cdef public object ws

    @cython.locals(stream=Connection, sent=Py_ssize_t)
    cpdef bint _write(self, ws) except -1
    cpdef Py_ssize_t _offer(self, ws, data) except -1
    cpdef Py_ssize_t _send(self, data) except -1
    cpdef _broken(self, ws)
    cpdef _half_close(self)

cdef class BlockingTransport(_SocketTransport):
    cdef public bint _closed
    cdef public int _fd
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
    cdef public bytearray buffer
    cdef public object on_forget

    @cython.locals(dirty=list, batch=list, transport=PolledTransport)
    cpdef served(self)

cdef class PolledTransport(_SocketTransport):
    cdef public bint _at_end
    cdef public bint _delivering
    cdef public bint _dirty
    cdef public bint _ending
    cdef public int _fd
    cdef public int _interest
    cdef public bint _paused
    cdef public bint _tls_wants_write
    cdef public SocketReactor reactor

    @cython.locals(stream=Connection)
    cpdef flush(self, ws, bint now=*)
    cpdef bint _read(self) except -1
    cpdef bytes _receive_tls(self)
    @cython.locals(stream=Connection)
    cpdef write(self, ws)
    cpdef write_dirty(self)
    cpdef _update_interest(self)
    cpdef _end_soon(self)
