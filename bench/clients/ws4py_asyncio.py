"""ws4py 1.0, the asyncio client with hooks; the loop is chosen by the last argument."""

from _cargs import URL, run
from ws4py_common import Driver

from ws4py.client.asyncioclient import WebSocketClient


class C(Driver, WebSocketClient):
    pass


async def main():
    c = C(URL)
    await c.connect()
    await c.wait_closed()


run(main)
