# Types for the compiled build of reactor.py; the logic is all there.
cimport cython

from ws4py.syscalls cimport this_thread

cdef class Channel:
    cdef public object alarm_at

    cpdef readable(self)
    cpdef writable(self)
    cpdef ring(self)

cdef class Reactor:
    cdef public object poller
    cdef public object clock
    cdef public bint running
    cdef public unsigned long ident
    cdef public bint _waiting
    cdef public dict _channels
    cdef public list _alarms
    cdef public Py_ssize_t _stale
    cdef public object _sequence
    cdef public object _alarm_lock
    cdef public object _calls
    cdef public object _waker

    cpdef bint in_thread(self) noexcept
    cpdef served(self)
    cpdef turn(self, timeout=*)
    @cython.locals(channels=dict, channel=Channel, events=int)
    cpdef serve(self, ready=*)
    cpdef _patience(self, timeout)
    cpdef _ring_alarms(self)
    cpdef _run_calls(self)
