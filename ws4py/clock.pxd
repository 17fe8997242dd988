# The clock of clock.py, on Linux; what it is for is said there.
cdef extern from *:
    """
    #ifdef __linux__
    #include <time.h>
    #define WS4PY_CLOCK 1
    static double ws4py_clock(void)
    {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double) now.tv_sec + 1e-9 * (double) now.tv_nsec;
    }
    #else
    #define WS4PY_CLOCK 0
    static double ws4py_clock(void) { return 0.0; }
    #endif
    """
    bint direct_clock "WS4PY_CLOCK"
    double clock_seconds "ws4py_clock"() noexcept

cdef bint COMPILED

cpdef double read_clock(clock) except? -1.0
