# Types for the compiled build of tray.py; the logic is all there.
from cpython.bytes cimport PyBytes_FromStringAndSize

cdef extern from *:
    """
    #include <string.h>
    #if defined(Py_GIL_DISABLED)
    #define ws4py_is_safe() 0  /* two threads could put something here at the same moment */
    #else
    #define ws4py_is_safe() 1
    #endif
    """
    bint ws4py_is_safe() noexcept
    void *memcpy(void *out, const void *source, size_t size) noexcept nogil

cdef bint COMPILED
cdef Py_ssize_t SIZE

cdef inline bint is_safe() noexcept:
    return ws4py_is_safe()

cdef class Tray:
    cdef list _queue
    cdef Py_ssize_t _end
    cdef unsigned char[65536] _data  # SIZE

    cdef put(self, list queue, bytes head, bytes payload)
    cdef settle(self, list queue)
    cdef _clear(self)

cdef inline Py_ssize_t lay(Tray tray, bytes data, Py_ssize_t at) noexcept:
    """Copy ``data`` there; where it ends."""
    memcpy(tray._data + at, <const char *> data, len(data))
    return at + len(data)

cdef inline bytes taken(Tray tray, Py_ssize_t size):
    return PyBytes_FromStringAndSize(<const char *> tray._data, size)
