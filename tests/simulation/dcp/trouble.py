"""What goes wrong with a table of a world besides what goes wrong with any target: drawn before it begins."""

from collections import Counter
from random import Random
from typing import TYPE_CHECKING

from tests.simulation.dcp.s3 import FAULTS

if TYPE_CHECKING:
    from tests.simulation.chaos import Chaos

IMPORTS = ("import fails", "row is refused", "row is dropped")
"""What becomes of a file: nothing of it is imported; or all but one row, of which the history tells, or nobody does."""
HISTORIES = ("history lacks files", "history is old", "history is odd", "history is cut")
"""What becomes of an answer of the upload history: it lacks what it had, or says what it said before, or has entries
that are none, or no end."""
_CALLS, _FILES, _LOOKS = 60, 6, 30
"""About as many calls of S3, files and looks into the history as a world has."""


class Trouble:
    """Faults by the number of the call, file or look that they meet."""

    def __init__(self, chaos: "Chaos", random: Random) -> None:
        self._chaos, self._counts = chaos, Counter[str]()
        self._planned = {
            "S3": {random.randrange(_CALLS): random.choice(FAULTS) for _ in range(random.randint(1, 5))},
            "import": {random.randrange(_FILES): random.choice(IMPORTS) for _ in range(random.randint(0, 2))},
            "history": {random.randrange(_LOOKS): random.choice(HISTORIES) for _ in range(random.randint(0, 4))},
        }

    def of_s3(self) -> str:
        """What becomes of the next call; "" for nothing."""
        return self._next("S3")

    def of_import(self) -> str:
        """What becomes of the next file."""
        return self._next("import")

    def of_history(self) -> str:
        """What becomes of the next answer of the upload history."""
        return self._next("history")

    def _next(self, what: str) -> str:
        number = self._counts[what]
        self._counts[what] += 1
        fault = "" if self._chaos.healed else self._planned[what].get(number, "")
        if fault:
            self._chaos.met[fault] += 1
        return fault
