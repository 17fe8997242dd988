"""websockets, its asyncio client, without compression and keepalive."""

from _cargs import URL, drive_async, run
from websockets.asyncio.client import connect


async def main():
    async with connect(URL, compression=None, max_size=None, ping_interval=None) as ws:
        await drive_async(ws.send, ws.recv)


run(main)
