"""Other libraries' dialects: a program written for one runs with only its import line changed.

One module (or small package) per library; docs/dropin.md lists them. A drop-in holds the names,
the signatures and the habits of its library, of the time when the project began and of today,
and says them in the words of our own clients and servers. It must never know protocol, limits
or timers: what a dialect asks for and our own faces lack is added to the faces. Nothing of the
rest of the package imports a drop-in, and importing ``ws4py.dropin`` imports none.
"""

from __future__ import annotations
