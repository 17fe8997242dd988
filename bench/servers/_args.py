"""Arguments shared by the server scripts: PORT MODE [LOOP].

MODE echo:      every message goes back to its sender
MODE sink:      binary messages are counted, a text message is answered by the count
MODE broadcast: every message goes to every open connection, its sender included
LOOP: asyncio (default) or uvloop
"""

import sys

PORT = int(sys.argv[1])
MODE = sys.argv[2]
LOOP = sys.argv[3] if len(sys.argv) > 3 else "asyncio"
ECHO, SINK, BCAST = MODE == "echo", MODE == "sink", MODE == "broadcast"


def run(main) -> None:
    """Run the coroutine function main for ever on the loop that was asked for."""
    import asyncio

    if LOOP == "uvloop":
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())
