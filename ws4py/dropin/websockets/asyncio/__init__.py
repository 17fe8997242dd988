"""``websockets.asyncio``: ``client``, ``server`` and ``router``."""
