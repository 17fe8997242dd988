"""ws4py's gevent client; the same script for 0.6 and 1.0."""

from gevent import monkey

monkey.patch_all()

from _cargs import URL, drive_sync  # noqa: E402

from ws4py.client.geventclient import WebSocketClient  # noqa: E402

client = WebSocketClient(URL)
client.connect()


def receive() -> bytes | str:
    """The next message, text as ``str``."""
    message = client.receive()
    return message.data if message.is_binary else message.data.decode()


drive_sync(lambda payload: client.send(payload, type(payload) is bytes), receive)
client.close()
