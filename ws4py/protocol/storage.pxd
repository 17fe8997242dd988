# Types for the compiled build of storage.py; the logic is all there.
cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize

cdef extern from *:
    """
    #if defined(Py_GIL_DISABLED) || defined(PYPY_VERSION)
    #define ws4py_alone(list, index) 0  /* no count to rely on */
    #define ws4py_again(bytes, size) bytes
    #else
    #define ws4py_alone(list, index) (Py_REFCNT(PyList_GET_ITEM(list, index)) == 1)
    static PyObject *ws4py_again(PyObject *bytes, Py_ssize_t size)
    {
        Py_SET_SIZE((PyVarObject *) bytes, size);
        PyBytes_AS_STRING(bytes)[size] = 0;
    #ifdef _Py_COMP_DIAG_PUSH
        _Py_COMP_DIAG_PUSH
        _Py_COMP_DIAG_IGNORE_DEPR_DECLS
    #endif
        ((PyBytesObject *) bytes)->ob_shash = -1;  /* that of what it was */
    #ifdef _Py_COMP_DIAG_POP
        _Py_COMP_DIAG_POP
    #endif
        Py_INCREF(bytes);
        return bytes;
    }
    #endif
    """
    bint ws4py_alone(list kept, Py_ssize_t at)
    bytes ws4py_again(bytes old, Py_ssize_t size)

cdef inline bytes fresh(Py_ssize_t size):
    return PyBytes_FromStringAndSize(NULL, size)

cdef inline bint alone(list kept, Py_ssize_t at):
    """Whether nobody but this list holds that one."""
    return ws4py_alone(kept, at)

cdef inline bytes again(bytes old, Py_ssize_t size):
    """The same object, as if it had just been made with this size."""
    return ws4py_again(old, size)

cdef bint COMPILED
cdef Py_ssize_t LEAST, MOST, MAX_COUNT, MAX_BYTES, LOOKS

cdef class Storage:
    cdef list _kept, _sizes
    cdef Py_ssize_t _total, _at

    @cython.locals(count=Py_ssize_t, unfit=Py_ssize_t, at=Py_ssize_t, made=bytes)
    cpdef bytes take(self, Py_ssize_t size)

cdef Storage storage
