# Types for the compiled build of streaming.py; the logic is all there.
from ws4py.protocol.connection cimport Connection

cdef class Stream(Connection):
    cdef public object _closing
    cdef public object _errors
    cdef public object _parser
    cdef public object _pings
    cdef public object _pongs
    cdef public object message
