# The primitive that masking comes down to when compiled: eight bytes at a time, which the C
# compiler vectorises. What it means is said in mask.py.
from cpython.bytes cimport PyBytes_FromStringAndSize

cdef extern from *:
    """
    #include <string.h>
    static void ws4py_xor(char *restrict out, const char *restrict in, Py_ssize_t size, const char *key)
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
    static void ws4py_xor_here(char *data, Py_ssize_t size, const char *key)
    {
        unsigned char k[8];
        unsigned long long word, k8;
        Py_ssize_t i = 0;
        memcpy(k, key, 4);
        memcpy(k + 4, key, 4);
        memcpy(&k8, k, 8);
        for (; i + 8 <= size; i += 8) {
            memcpy(&word, data + i, 8);
            word ^= k8;
            memcpy(data + i, &word, 8);
        }
        for (; i < size; i++)
            data[i] ^= k[i & 3];
    }
    """
    void ws4py_xor_here(char *data, Py_ssize_t size, const char *key) noexcept nogil
    void ws4py_xor(char *out, const char *source, Py_ssize_t size, const char *key) noexcept nogil

cdef inline bytes xor(bytes source, Py_ssize_t start, Py_ssize_t stop, const char *key):
    cdef bytes out = PyBytes_FromStringAndSize(NULL, stop - start)
    ws4py_xor(<char *> out, (<const char *> source) + start, stop - start, key)
    return out

cdef inline unmask_here(bytes target, Py_ssize_t start, Py_ssize_t size, const char *key):
    """In place, in bytes that nobody else holds yet."""
    ws4py_xor_here((<char *> target) + start, size, key)

cdef inline bytes xor_behind(bytes source, Py_ssize_t start, Py_ssize_t stop):
    return xor(source, start, stop, (<const char *> source) + start - 4)

cdef bint COMPILED

cpdef bytes mask(object data, bytes key)
cpdef bytes unmask(bytes buffer, Py_ssize_t start, Py_ssize_t stop)
cpdef bytes unmask_part(bytes buffer, Py_ssize_t start, Py_ssize_t stop, bytes key)
cpdef bytes rotate(bytes key, Py_ssize_t n)
