# Types for the compiled build of tray.py; the logic is all there.
cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize

cdef extern from *:
    """
    #include <string.h>
    #if defined(Py_GIL_DISABLED)
    #define WS4PY_TRAY 0  /* two threads could put something here at the same moment */
    #else
    #define WS4PY_TRAY 65536
    #endif
    """
    const Py_ssize_t WS4PY_TRAY
    void *memcpy(void *out, const void *source, size_t size) noexcept nogil

cdef bint COMPILED

cdef class Tray:
    cdef list _queue
    cdef Py_ssize_t _end
    cdef unsigned char[65536] _data  # at least WS4PY_TRAY

    @cython.locals(size=Py_ssize_t)
    cdef put(self, list queue, bytes head, bytes payload)
    cdef settle(self, list queue)
    @cython.locals(size=Py_ssize_t)
    cdef bytes take(self, list queue)
    cdef _clear(self)

cdef inline Py_ssize_t room(Tray tray, Py_ssize_t at) noexcept:
    """How much there is room for behind that; 0 where nothing may lie here."""
    return min(WS4PY_TRAY, <Py_ssize_t> sizeof(tray._data)) - at

cdef inline Py_ssize_t lay(Tray tray, bytes data, Py_ssize_t at) noexcept:
    """Copy ``data`` there; where it ends."""
    memcpy(tray._data + at, <const char *> data, len(data))
    return at + len(data)

cdef inline bytes taken(Tray tray, Py_ssize_t size):
    return PyBytes_FromStringAndSize(<const char *> tray._data, size)
