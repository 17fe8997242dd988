"""ws4py's threaded client; the same script for 0.6 and 1.0."""

from _cargs import URL
from ws4py_common import Driver

from ws4py.client.threadedclient import WebSocketClient


class C(Driver, WebSocketClient):
    pass


c = C(URL)
c.connect()
c.run_forever()
