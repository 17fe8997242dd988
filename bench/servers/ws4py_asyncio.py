"""ws4py 1.0, the asyncio server with hooks; the loop is chosen by the last argument."""

import asyncio

import ws4py_common
from _args import PORT, run

from ws4py.server.asyncioserver import serve


async def main() -> None:
    server = await serve(ws4py_common.Handler, "127.0.0.1", PORT)
    ws4py_common.manager = server.manager
    await asyncio.Event().wait()


run(main)
