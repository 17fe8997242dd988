"""A client under the Autobahn suite: ``python autobahn_client.py URL AGENT [BACKEND]``."""

from __future__ import annotations

import sys
from typing import Any

from ws4py.cli import backends
from ws4py.messaging import Message
from ws4py.protocol.config import Config

#: The largest cases take their time; a case that hangs must not hold up the suite.
PATIENT = Config(close_timeout=5.0, ping_interval=None)


class CaseCount:
    """Asks how many cases there are."""

    count = 0

    def received_message(self, message: Message) -> None:
        """The number, as text."""
        self.count = int(str(message))


class Echo:
    """Echoes one case to its end."""

    send: Any

    def received_message(self, message: Message) -> None:
        """Send it back as it came."""
        self.send(message)


def run(hooks: type, base: type, url: str) -> Any:
    """One connection, to its end."""
    client: Any = type(hooks.__name__, (hooks, base), {})(url, config=PATIENT)
    client.connect()
    client.run_forever()
    return client


def main(url: str, agent: str, backend: str = "threaded") -> None:
    """Run every case."""
    base = backends.load(backends.find(backend, "client"))
    count = run(CaseCount, base, f"{url}/getCaseCount").count
    for case in range(1, count + 1):
        run(Echo, base, f"{url}/runCase?case={case}&agent={agent}")


if __name__ == "__main__":
    main(*sys.argv[1:])
