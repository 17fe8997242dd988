"""ws4py's blocking client, with all its defaults."""

from _cargs import URL, drive_sync

from ws4py.client.syncclient import connect

with connect(URL) as ws:
    drive_sync(ws.send, ws.recv)
