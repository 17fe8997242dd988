# The system calls of syscalls.py, on Unix; what they mean is said there.
cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals, PyErr_SetFromErrno
from libc cimport errno
from libc.string cimport memcpy

cdef extern from *:
    """
    #ifdef _WIN32
    #define WS4PY_DIRECT 0
    static Py_ssize_t ws4py_recv(int fd, char *out, Py_ssize_t size) { return -1; }
    static Py_ssize_t ws4py_send(int fd, const char *data, Py_ssize_t size) { return -1; }
    struct iovec { void *iov_base; size_t iov_len; };
    static Py_ssize_t ws4py_sendmsg(int fd, struct iovec *pieces, int count) { return -1; }
    #else
    #include <sys/types.h>
    #include <sys/socket.h>
    #include <sys/uio.h>
    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0
    #endif
    #define WS4PY_DIRECT 1
    #define ws4py_recv(fd, out, size) recv(fd, out, (size_t)(size), 0)
    #define ws4py_send(fd, data, size) send(fd, data, (size_t)(size), MSG_NOSIGNAL | MSG_DONTWAIT)
    static Py_ssize_t ws4py_sendmsg(int fd, struct iovec *pieces, int count)
    {
        struct msghdr message = {0};
        message.msg_iov = pieces;
        message.msg_iovlen = count;
        return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    #endif

    #ifdef __linux__
    #include <math.h>
    #include <sys/epoll.h>
    #define WS4PY_EPOLL 1
    typedef struct epoll_event ws4py_event;
    #define ws4py_event_fd(event) ((event).data.fd)
    #define ws4py_epoll_wait epoll_wait
    #define WS4PY_ACCEPT 1
    extern int accept4(int, struct sockaddr *, socklen_t *, int);  /* with _GNU_SOURCE only */
    #define ws4py_accept(fd) accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
    #else
    #define WS4PY_ACCEPT 0
    #define ws4py_accept(fd) (-1)
    #define WS4PY_EPOLL 0
    typedef struct { int fd; unsigned int events; } ws4py_event;
    #define ws4py_event_fd(event) ((event).fd)
    #define ws4py_epoll_wait(epoll, found, size, timeout) (-1)
    #endif
    """
    bint direct "WS4PY_DIRECT"
    bint direct_epoll "WS4PY_EPOLL"
    bint direct_accept "WS4PY_ACCEPT"
    int ws4py_accept(int fd) nogil
    ctypedef struct ws4py_event:
        unsigned int events
    int ws4py_event_fd(ws4py_event event) nogil
    int ws4py_epoll_wait(int epoll, ws4py_event *found, int size, int timeout) nogil
    Py_ssize_t ws4py_recv(int fd, char *out, Py_ssize_t size) nogil
    Py_ssize_t ws4py_send(int fd, const char *data, Py_ssize_t size) nogil
    struct iovec:
        void *iov_base
        size_t iov_len
    Py_ssize_t ws4py_sendmsg(int fd, iovec *pieces, int count) nogil

cdef inline bint again(int error) except -1:
    """Whether the call only found nothing to do; raises OSError for any other failure."""
    # Looked at before the interpreter's lock was taken again, which may set another.
    if error == errno.EAGAIN or error == errno.EINTR:
        return True
    errno.errno = error
    PyErr_SetFromErrno(OSError)

# The interpreter's lock is kept where the system only copies a little: to give it away and to get
# it back takes as long as the call.

cdef inline int call_accept(int fd) except -2:
    cdef int accepted = ws4py_accept(fd)
    if accepted < 0:
        again(errno.errno)
    return accepted

cdef inline bytes call_recv(int fd, bytearray buffer):
    cdef char *out = buffer
    cdef Py_ssize_t got = ws4py_recv(fd, out, len(buffer))
    if got >= 0:
        return PyBytes_FromStringAndSize(out, got)
    again(errno.errno)
    return None

# On the stack, of which each thread has its own: nobody has to make or to keep it.
cdef inline bytes call_recv_waiting(int fd):
    cdef char out[32768]
    cdef Py_ssize_t got
    cdef int error = 0
    with nogil:
        got = ws4py_recv(fd, out, 32768)
        error = errno.errno
    if got >= 0:
        return PyBytes_FromStringAndSize(out, got)
    again(error)
    return None

# The buffer's own bytes, which nobody else holds, are written to as C would.
cdef inline Py_ssize_t fill_buffer(int fd, bytes data, Py_ssize_t most) except -2:
    cdef Py_ssize_t got = ws4py_recv(fd, <char *> data, min(most, len(data) - 1))
    if got < 0:
        again(errno.errno)
    return got

cdef inline Py_ssize_t fill_behind(int fd, bytes data, Py_ssize_t filled) except -2:
    # Much at a time, and nobody else's: the others may have the interpreter meanwhile.
    cdef char *start = (<char *> data) + filled
    cdef Py_ssize_t room = len(data) - filled
    cdef Py_ssize_t got
    cdef int error = 0
    if room > 1 << 20:
        room = 1 << 20
    with nogil:
        got = ws4py_recv(fd, start, room)
        error = errno.errno
    if got < 0:
        again(error)
    return got

cdef inline put(bytes received, bytes data, Py_ssize_t filled):
    memcpy((<char *> data) + filled, <const char *> received, len(received))

cdef inline Py_ssize_t call_send(int fd, bytes data) except -1:
    cdef const char *start = data
    cdef Py_ssize_t size = len(data)
    cdef Py_ssize_t sent
    cdef int error = 0
    if size < 65536:
        sent = ws4py_send(fd, start, size)
        error = errno.errno
    else:
        with nogil:
            sent = ws4py_send(fd, start, size)
            error = errno.errno
    if sent >= 0:
        return sent
    again(error)
    return 0

cdef inline Py_ssize_t call_sendmsg(int fd, list pieces) except -1:
    cdef iovec parts[64]
    cdef int count = 0
    cdef Py_ssize_t size = 0, sent
    cdef int error = 0
    cdef bytes piece
    for piece in pieces:
        if count == 64:
            break
        parts[count].iov_base = <char *> piece
        parts[count].iov_len = len(piece)
        size += len(piece)
        count += 1
    if size < 65536:
        sent = ws4py_sendmsg(fd, parts, count)
        error = errno.errno
    else:
        with nogil:
            sent = ws4py_sendmsg(fd, parts, count)
            error = errno.errno
    if sent >= 0:
        return sent
    again(error)
    return 0

cdef class ReadBuffer:
    cdef public bytes data

    cpdef Py_ssize_t fill(self, sock, int fd, Py_ssize_t most=*) except -2

cdef class ReadyList:
    cdef ws4py_event found[512]

    cpdef int wait(self, int epoll, double timeout) except -1
    cpdef int descriptor(self, int index) noexcept
    cpdef int events(self, int index) noexcept

cdef inline int call_epoll_wait(ReadyList ready, int epoll, double timeout) except -1:
    # Rounded up: to wake up just before a deadline would be in vain.
    cdef int patience = -1 if timeout < 0 else <int> min(timeout * 1000 + 0.999, 2e9)
    cdef int count
    cdef int error = 0
    PyErr_CheckSignals()  # no bytecode is run that would do it, and the wait may be long
    with nogil:
        count = ws4py_epoll_wait(epoll, ready.found, 512, patience)
        if count < 0:
            error = errno.errno
    if count >= 0:
        return count
    again(error)
    PyErr_CheckSignals()
    return 0

cdef inline int ready_descriptor(ReadyList ready, int index) noexcept:
    return ws4py_event_fd(ready.found[index])

cdef inline int ready_events(ReadyList ready, int index) noexcept:
    return <int> ready.found[index].events

cdef extern from "pythread.h":
    unsigned long PyThread_get_thread_ident()

cdef bint COMPILED
cdef bint PATCHED

@cython.locals(fd=int)
cpdef accept(listener, family)
cpdef Py_ssize_t fill_rest(sock, int fd, bytes data, Py_ssize_t filled) except -2
cpdef bytes read_some(sock, int fd, bytearray buffer)
cpdef bytes wait_some(sock, int fd)
cpdef Py_ssize_t write_pieces(int fd, list pieces) except -1
cpdef Py_ssize_t write_some(sock, int fd, data) except -1
cpdef unsigned long this_thread() noexcept
