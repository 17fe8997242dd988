# Types for the compiled build of messaging.py; the logic is all there.
cimport cython

from ws4py.protocol.wire cimport encode_frame

cdef int OPCODE_TEXT, OPCODE_BINARY, OPCODE_CLOSE

# Messages are made and dropped all the time: some are kept to be used again. None of them can
# be part of a cycle, as they hold nothing but bytes and text.
@cython.freelist(64)
cdef class Message:
    cdef public int opcode
    cdef public str encoding
    cdef public bint completed
    cdef public bytes _data
    cdef public str _text

    cpdef bytes _to_bytes(self, data)

cdef class TextMessage(Message):
    pass

cdef class BinaryMessage(Message):
    pass

cdef class CloseControlMessage(Message):
    cdef public object code
    cdef public object reason

cdef class PingControlMessage(Message):
    pass

cdef class PongControlMessage(Message):
    pass

@cython.locals(message=TextMessage)
cpdef TextMessage received_text(bytes data, str text)
@cython.locals(message=CloseControlMessage)
cpdef CloseControlMessage received_close(object code, str reason, bytes data)
@cython.locals(message=BinaryMessage)
cpdef BinaryMessage received_binary(bytes data)
