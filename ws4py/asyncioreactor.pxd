# Types for the compiled build of asyncioreactor.py; the logic is all there.
from ws4py.reactor cimport Channel
from ws4py.transport cimport PolledTransport, SocketReactor, Transport, _SocketTransport

cdef class AsyncioReactor(SocketReactor):
    cdef public object loop
    cdef public dict _interest
    cdef public object _timer
    cdef public double _timer_at
    cdef public bint _serving
    cdef public bint _scheduled

    cpdef soon(self, Transport transport)
    cpdef bint _inside(self) except -1

cdef class StreamTransport(PolledTransport):
    cdef public list _blocked
    cdef public bint _full
    cdef public bytes _more
    cdef public object loop
    cdef public object stream_transport
