"""``websockets.sync``: ``client``, ``server`` and ``router``, for threads."""
