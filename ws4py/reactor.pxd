# Types for the compiled build of reactor.py; the logic is all there.
cimport cython

from ws4py.clock cimport read_clock
from ws4py.syscalls cimport ReadyList, this_thread

cdef double LONGEST_WAIT

cdef class Channel:
    cdef public list alarm
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
    cdef public int _epoll
    cdef public ReadyList _ready
    cdef public object _waker

    cpdef bint in_thread(self) noexcept
    cpdef served(self)
    @cython.locals(patience=double, count=int, index=int)
    cpdef turn(self, timeout=*)
    @cython.locals(fd=int, events=int)
    cpdef serve(self, ready=*)
    @cython.locals(channel=Channel)
    cpdef _serve(self, int fd, int events)
    @cython.locals(alarms=list, when=double)
    cpdef _look_around(self)
    @cython.locals(alarms=list, when=double, left=double)
    cpdef double _patience(self, timeout) except? -2.0
    cpdef _ring_alarms(self)
    cpdef _run_calls(self)
