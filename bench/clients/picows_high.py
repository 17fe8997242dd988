"""picows' high-level API."""

from _cargs import URL, drive_async, run
from picows.websockets.asyncio.client import connect


async def main():
    async with connect(URL, compression=None, max_size=None, ping_interval=None) as ws:
        await drive_async(ws.send, ws.recv)


run(main)
