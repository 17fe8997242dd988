"""Drives any ws4py client class through its hooks."""

from _cargs import FLOOD, PAYLOAD, WHAT, Flood, Meter, check


class Driver:
    """To be mixed into a client class."""

    def opened(self):
        if WHAT == "rt":
            self.meter = Meter()
            self.send(PAYLOAD, True)
        else:
            self.flood = Flood()
            self.send(FLOOD)

    def received_message(self, message):
        if WHAT == "rt":
            check(message.data)
            if self.meter.tick():
                self.send(PAYLOAD, True)
            else:
                self.close()
        elif message.is_binary:
            self.last = message.data
            self.flood.n += 1
        else:
            self.flood.done()
            self.close()
