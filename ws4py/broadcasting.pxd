# Types for the compiled build of broadcasting.py; the logic is all there.
cimport cython

from ws4py.protocol.connection cimport PreparedMessage
from ws4py.websocket cimport Endpoint, to_bytes

@cython.locals(ws=Endpoint, prepared=PreparedMessage)
cpdef broadcast(websockets, message, binary=*)
cdef PreparedMessage _prepared(Endpoint ws, message, binary, dict encoded)
