"""What the client scripts share: PORT WHAT SIZE AMOUNT [LOOP], the clock, the loops.

WHAT rt:   send SIZE bytes, await the echo, again, for AMOUNT seconds
WHAT recv: ask the server for AMOUNT messages of SIZE bytes and receive them all
Each script prints one JSON line, through done().
"""

import json
import sys
import time

PORT = int(sys.argv[1])
WHAT = sys.argv[2]
SIZE = int(sys.argv[3])
AMOUNT = float(sys.argv[4])
LOOP = sys.argv[5] if len(sys.argv) > 5 else "asyncio"
URL = f"ws://127.0.0.1:{PORT}/"
PAYLOAD = bytes(33 + i % 90 for i in range(SIZE))
FLOOD = f"flood {int(AMOUNT)} {SIZE}"
WARM = 0.15  # seconds


def done(n: int, secs: float, cpu: float) -> None:
    """Print the result: n messages in secs seconds, with cpu seconds of CPU."""
    result = {"n": n, "secs": secs, "rate": n / secs, "cpu_us": cpu / max(n, 1) * 1e6}
    print(json.dumps(result), flush=True)


class Meter:
    """Counts round trips and tells when to stop: tick() is True while the loop must go on."""

    def __init__(self) -> None:
        self.n = 0
        self.warm = False
        self.began = time.perf_counter()
        self.end = self.began + WARM
        self.cpu = 0.0

    def tick(self) -> bool:
        self.n += 1
        if self.n & 7 and SIZE < 65536:
            return True  # the clock is not free either
        now = time.perf_counter()
        if now < self.end:
            return True
        if not self.warm:
            self.warm, self.n, self.began, self.end = True, 0, now, now + AMOUNT
            self.cpu = time.process_time()
            return True
        done(self.n, now - self.began, time.process_time() - self.cpu)
        return False


class Flood:
    """Counts what the server was asked to send."""

    def __init__(self) -> None:
        self.n = 0
        self.began, self.cpu = time.perf_counter(), time.process_time()

    def done(self) -> None:
        done(self.n, time.perf_counter() - self.began, time.process_time() - self.cpu)


def check(payload: bytes) -> None:
    """The echo has the length of what was sent."""
    if len(payload) != SIZE:
        raise SystemExit("wrong length")


def run(main) -> None:
    """Run a coroutine function on the loop that was asked for."""
    import asyncio

    if LOOP == "uvloop":
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())


async def drive_async(send, recv) -> None:
    """Measure an API with awaitable send(bytes or str) and recv()."""
    if WHAT == "rt":
        meter = Meter()
        while True:
            await send(PAYLOAD)
            check(await recv())
            if not meter.tick():
                return
    flood = Flood()
    await send(FLOOD)
    while type(await recv()) is not str:
        flood.n += 1
    flood.done()


def drive_sync(send, recv) -> None:
    """Measure an API with blocking send(bytes or str) and recv()."""
    if WHAT == "rt":
        meter = Meter()
        while True:
            send(PAYLOAD)
            check(recv())
            if not meter.tick():
                return
    flood = Flood()
    send(FLOOD)
    while type(recv()) is not str:
        flood.n += 1
    flood.done()
