# The primitive that masking comes down to when compiled. What it means is said in mask.py.
#
# One loop over eight bytes at a time, which the C compiler vectorises; and that again for
# processors with AVX2, chosen when it is called. Best of 7 in ns (gcc 12, a Xeon, 2026-11-26):
#
#              16 B   256 B   1 KiB   16 KiB     1 MiB
#   as it is    2.6     8.4      56      586    46,000
#   AVX2        3.2     8.7      30      282    27,300
from cpython.bytes cimport PyBytes_FromStringAndSize

from ws4py.protocol.storage cimport LEAST, storage

cdef extern from *:
    """
    #include <string.h>
    #if defined(__GNUC__) && defined(__x86_64__)
    #define WS4PY_WIDER 256 /* from so many bytes on */
    #define WS4PY_LOOP static inline __attribute__((always_inline))
    #define WS4PY_WIDE static __attribute__((target("avx2")))
    #else
    #define WS4PY_LOOP static inline
    #endif
    WS4PY_LOOP void ws4py_xor_loop(char *out, const char *in, Py_ssize_t size, const char *key)
    {
        unsigned char k[8];
        unsigned long long word, k8;
        Py_ssize_t i = 0;
        memcpy(k, key, 4);
        memcpy(k + 4, key, 4);
        memcpy(&k8, k, 8);
        for (; i + 8 <= size; i += 8) {
            memcpy(&word, in + i, 8);
            word ^= k8;
            memcpy(out + i, &word, 8);
        }
        for (; i < size; i++)
            out[i] = in[i] ^ k[i & 3];
    }
    #ifdef WS4PY_WIDER
    WS4PY_WIDE void ws4py_xor_wide(char *restrict out, const char *restrict in, Py_ssize_t size, const char *key)
    {
        ws4py_xor_loop(out, in, size, key);
    }
    WS4PY_WIDE void ws4py_xor_here_wide(char *data, Py_ssize_t size, const char *key)
    {
        ws4py_xor_loop(data, data, size, key);
    }
    #endif
    static void ws4py_xor(char *restrict out, const char *restrict in, Py_ssize_t size, const char *key)
    {
    #ifdef WS4PY_WIDER
        if (size >= WS4PY_WIDER && __builtin_cpu_supports("avx2")) {
            ws4py_xor_wide(out, in, size, key);
            return;
        }
    #endif
        ws4py_xor_loop(out, in, size, key);
    }
    static void ws4py_xor_here(char *data, Py_ssize_t size, const char *key)
    {
    #ifdef WS4PY_WIDER
        if (size >= WS4PY_WIDER && __builtin_cpu_supports("avx2")) {
            ws4py_xor_here_wide(data, size, key);
            return;
        }
    #endif
        ws4py_xor_loop(data, data, size, key);
    }
    """
    void ws4py_xor_here(char *data, Py_ssize_t size, const char *key) noexcept nogil
    void ws4py_xor(char *out, const char *source, Py_ssize_t size, const char *key) noexcept nogil

cdef inline bytes xor(bytes source, Py_ssize_t start, Py_ssize_t stop, const char *key):
    cdef bytes out
    if stop - start < LEAST:
        out = PyBytes_FromStringAndSize(NULL, stop - start)
    else:
        out = storage.take(stop - start)
    ws4py_xor(<char *> out, (<const char *> source) + start, stop - start, key)
    return out

cdef inline unmask_here(bytes target, Py_ssize_t start, Py_ssize_t size, const char *key):
    """In place, in bytes that nobody else holds yet."""
    ws4py_xor_here((<char *> target) + start, size, key)

cdef inline unmask_into(
    bytes target, Py_ssize_t offset, bytes source, Py_ssize_t start, Py_ssize_t size, const char *key
):
    """From one place to another, in bytes that nobody else holds yet."""
    ws4py_xor((<char *> target) + offset, (<const char *> source) + start, size, key)

cdef inline bytes xor_behind(bytes source, Py_ssize_t start, Py_ssize_t stop):
    return xor(source, start, stop, (<const char *> source) + start - 4)

cdef bint COMPILED

cpdef bytes mask(object data, bytes key)
cpdef bytes unmask(bytes buffer, Py_ssize_t start, Py_ssize_t stop)
cpdef bytes unmask_part(bytes buffer, Py_ssize_t start, Py_ssize_t stop, bytes key)
cpdef bytes rotate(bytes key, Py_ssize_t n)
