"""aiohttp's client, without compression."""

import aiohttp
from _cargs import URL, drive_async, run


async def main():
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(URL, max_msg_size=0, compress=0) as ws,
    ):

        async def recv():
            return (await ws.receive()).data

        await drive_async(
            lambda data: ws.send_bytes(data) if type(data) is bytes else ws.send_str(data), recv
        )


run(main)
