# Types for the compiled build of lock.py; the logic is all there.
from ws4py.syscalls cimport this_thread

cdef bint COMPILED

cdef class Lock:
    cdef unsigned long _owner
    cdef Py_ssize_t _count
    cdef Py_ssize_t _starved
    cdef Py_ssize_t _waiting
    cdef object _gate

    cpdef acquire(self)
    cpdef release(self)
    cdef _wait(self)
    cdef _open_gate(self)

cdef class SystemLock(Lock):
    cdef object _lock
