"""``Headers`` with the habits of ``websockets``: assignment appends, one value or an error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from ws4py.dropin.websockets.exceptions import InvalidHeaderValue
from ws4py.protocol.headers import format_head

__all__ = ["Headers", "HeadersLike", "MultipleValuesError"]


class MultipleValuesError(LookupError):
    """``headers[name]`` for a name that occurs more than once."""

    def __str__(self) -> str:
        return repr(self.args[0]) if len(self.args) == 1 else super().__str__()


class Headers(MutableMapping[str, str]):
    """Header fields in their order; names are found whatever their case.

    ``headers[name] = value`` adds one more, ``del headers[name]`` removes them all, and
    ``headers[name]`` raises ``MultipleValuesError`` for several, of which ``get_all()`` tells.
    """

    __slots__ = ("_pairs",)

    def __init__(self, *args: Any, **kwargs: str) -> None:
        self._pairs: list[tuple[str, str]] = []
        self.update(*args, **kwargs)

    def get_all(self, key: str) -> list[str]:
        """Every value of ``key``."""
        key = key.lower()
        return [value for name, value in self._pairs if name.lower() == key]

    def raw_items(self) -> Iterator[tuple[str, str]]:
        """All fields, names as they were written."""
        return iter(self._pairs)

    def copy(self) -> Headers:
        """Another with the same fields."""
        return type(self)(self)

    def serialize(self) -> bytes:
        """As they go over the wire, with the empty line behind them."""
        return str(self).encode("iso-8859-1")

    def update(self, *args: Any, **kwargs: str) -> None:
        """Add fields: of a mapping, pairs, other ``Headers``, keywords."""
        super().update(
            *(list(arg.raw_items()) if isinstance(arg, Headers) else arg for arg in args),
            **kwargs,
        )

    def clear(self) -> None:
        """Remove everything."""
        self._pairs.clear()

    def __getitem__(self, key: str) -> str:
        values = self.get_all(key)
        if not values:
            raise KeyError(key)
        if len(values) > 1:
            raise MultipleValuesError(key)
        return values[0]

    def __setitem__(self, key: str, value: str) -> None:
        try:
            format_head("", [("Name", value)])
        except ValueError:
            raise InvalidHeaderValue(key, value) from None
        self._pairs.append((key, value))

    def __delitem__(self, key: str) -> None:
        left = [pair for pair in self._pairs if pair[0].lower() != key.lower()]
        if len(left) == len(self._pairs):
            raise KeyError(key)
        self._pairs = left

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and bool(self.get_all(key))

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.lower() for name, _ in self._pairs))

    def __len__(self) -> int:
        return len({name.lower() for name, _ in self._pairs})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return {name: self.get_all(name) for name in self} == {
            name: other.get_all(name) for name in other
        }

    def __str__(self) -> str:
        return "".join(f"{name}: {value}\r\n" for name, value in self._pairs) + "\r\n"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._pairs!r})"


HeadersLike = Headers | Mapping[str, str] | Iterable[tuple[str, str]]
