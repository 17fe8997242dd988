"""A client under the Autobahn suite: ``python autobahn_client.py URL AGENT [threadedclient]``.

The last argument names the module of the client: one that has a ``WebSocketClient``.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from ws4py.messaging import Message
from ws4py.protocol.config import Config

#: The largest cases take their time; a case that hangs must not hold up the suite.
PATIENT = Config(close_timeout=5.0, ping_interval=None)

MODULE = sys.argv[3] if sys.argv[3:] else "threadedclient"
WebSocketClient: Any = importlib.import_module(f"ws4py.client.{MODULE}").WebSocketClient


class CaseCount(WebSocketClient):
    """Asks how many cases there are."""

    count = 0

    def received_message(self, message: Message) -> None:
        """The number, as text."""
        self.count = int(str(message))


class Echo(WebSocketClient):
    """Echoes one case to its end."""

    def received_message(self, message: Message) -> None:
        """Send it back as it came."""
        self.send(message)


def main(url: str, agent: str) -> None:
    """Run every case."""
    asker = CaseCount(f"{url}/getCaseCount", config=PATIENT)
    asker.connect()
    asker.run_forever()
    for case in range(1, asker.count + 1):
        client = Echo(f"{url}/runCase?case={case}&agent={agent}", config=PATIENT)
        client.connect()
        client.run_forever()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
