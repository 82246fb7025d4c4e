"""What of a history is left out, so that one which breaks a promise becomes small enough to be read.

Everything that can be left out has a name: `task 3`, `key k2`, `day 4`, `move 0`, and a fault by what it meets:
`request 7`.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Cut:
    """`only` these are there; None: all are. The same of `classes` of trouble."""

    only: frozenset[str] | None = None
    classes: frozenset[str] | None = None

    @classmethod
    def of(cls, names: Iterable[str]) -> "Cut":
        """Only these."""
        return cls(frozenset(names))

    @classmethod
    def parsed(cls, text: str) -> "Cut":
        """As the command is given it: names with commas between them."""
        return cls.of(name.strip() for name in text.split(",") if name.strip())

    def keeps(self, name: str) -> bool:
        """Whether it is there."""
        return self.only is None or name in self.only

    def allows(self, kind: str) -> bool:
        """Whether trouble of a class is there."""
        return self.classes is None or kind in self.classes


WHOLE = Cut()
