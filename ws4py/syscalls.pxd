# The system calls of syscalls.py, on Unix; what they mean is said there.
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_SetFromErrno
from libc cimport errno

cdef extern from *:
    """
    #ifdef _WIN32
    #define WS4PY_DIRECT 0
    static Py_ssize_t ws4py_recv(int fd, char *out, Py_ssize_t size) { return -1; }
    static Py_ssize_t ws4py_send(int fd, const char *data, Py_ssize_t size) { return -1; }
    #else
    #include <sys/types.h>
    #include <sys/socket.h>
    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0
    #endif
    #define WS4PY_DIRECT 1
    #define ws4py_recv(fd, out, size) recv(fd, out, (size_t)(size), 0)
    #define ws4py_send(fd, data, size) send(fd, data, (size_t)(size), MSG_NOSIGNAL)
    #endif
    """
    bint direct "WS4PY_DIRECT"
    Py_ssize_t ws4py_recv(int fd, char *out, Py_ssize_t size) nogil
    Py_ssize_t ws4py_send(int fd, const char *data, Py_ssize_t size) nogil

cdef inline bint again(int error) except -1:
    """Whether the call only found nothing to do; raises OSError for any other failure."""
    # Looked at before the interpreter's lock was taken again, which may set another.
    if error == errno.EAGAIN or error == errno.EINTR:
        return True
    errno.errno = error
    PyErr_SetFromErrno(OSError)

cdef inline bytes call_recv(int fd, bytearray buffer):
    cdef char *out = buffer
    cdef Py_ssize_t size = len(buffer)
    cdef Py_ssize_t got
    cdef int error = 0
    with nogil:
        got = ws4py_recv(fd, out, size)
        if got < 0:
            error = errno.errno
    if got >= 0:
        return PyBytes_FromStringAndSize(out, got)
    again(error)
    return None

cdef inline Py_ssize_t call_send(int fd, bytes data) except -1:
    cdef const char *start = data
    cdef Py_ssize_t size = len(data)
    cdef Py_ssize_t sent
    cdef int error = 0
    with nogil:
        sent = ws4py_send(fd, start, size)
        if sent < 0:
            error = errno.errno
    if sent >= 0:
        return sent
    again(error)
    return 0

cdef extern from "pythread.h":
    unsigned long PyThread_get_thread_ident()

cdef bint COMPILED
cdef bint PATCHED

cpdef bytes read_some(sock, int fd, bytearray buffer)
cpdef Py_ssize_t write_some(sock, int fd, data) except -1
cpdef unsigned long this_thread() noexcept
