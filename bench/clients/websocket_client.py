"""websocket-client, with the accelerator that it looks for (wsaccel)."""

import socket

import websocket
from _cargs import URL, drive_sync

ws = websocket.create_connection(URL, skip_utf8_validation=False)
ws.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
drive_sync(lambda data: ws.send_binary(data) if type(data) is bytes else ws.send(data), ws.recv)
ws.close()
