"""ws4py 1.0, the asyncio client for coroutines."""

from _cargs import URL, drive_async, run

from ws4py.client.asyncioclient import connect


async def main():
    async with connect(URL) as ws:
        await drive_async(ws.send, ws.recv)


run(main)
