# Types for the compiled build of websocket.py; the logic is all there.
cimport cython

from ws4py.lock cimport Lock
from ws4py.messaging cimport BinaryMessage, Message, TextMessage
from ws4py.protocol.connection cimport Connection, PreparedMessage
from ws4py.transport cimport Driven, Transport

cdef object CLOSED, OPEN

cdef class Endpoint(Driven):
    cdef public Transport _transport
    cdef public object client_terminated
    cdef public object server_terminated
    cdef public object sock
    cdef public bint write_through

    @cython.locals(transport=Transport)
    cdef Transport _mover(self)
    cdef _check_made(self)
    @cython.locals(stream=Connection, transport=Transport, lock=Lock, message=Message)
    cdef _data_received(self, data, Py_ssize_t size=*)
    @cython.locals(stream=Connection, transport=Transport, lock=Lock)
    cpdef send(self, payload, bint binary=*, compress=*)
    @cython.locals(stream=Connection, transport=Transport, lock=Lock)
    cdef send_prepared(self, PreparedMessage message)
    @cython.locals(stream=Connection, transport=Transport, lock=Lock)
    cdef _deliver_from(self, Message message)
    @cython.locals(stream=Connection, transport=Transport, lock=Lock, message=Message)
    cpdef Message take(self)
    cdef _deliver(self, Message message)
    cdef bint is_over(self) except -1
    @cython.locals(stream=Connection)
    cdef bint _admitted(self, Transport transport) except -1
    cdef _policy(self, Transport transport)

cpdef bytes to_bytes(payload, bint binary)
