"""websockets, its blocking client, without compression."""

from _cargs import URL, drive_sync
from websockets.sync.client import connect

with connect(URL, compression=None, max_size=None) as ws:
    drive_sync(ws.send, ws.recv)
