"""What goes wrong with a table of a world besides what goes wrong with any target: drawn before it begins."""

from random import Random
from typing import TYPE_CHECKING

from tests.simulation.chaos import HISTORIES, IMPORTS, S3

if TYPE_CHECKING:
    from tests.simulation.chaos import Chaos

_CALLS, _FILES, _LOOKS = 60, 6, 30
"""About as many calls of S3, files and looks into the history as a world has."""


class Trouble:
    """Faults by the number of the call, file or look that they meet."""

    def __init__(self, chaos: "Chaos", random: Random) -> None:
        self._chaos = chaos
        self._of_s3 = {random.randrange(_CALLS): random.choice(S3) for _ in range(random.randint(1, 5))}
        self._of_imports = {random.randrange(_FILES): random.choice(IMPORTS) for _ in range(random.randint(0, 2))}
        self._of_history = {random.randrange(_LOOKS): random.choice(HISTORIES) for _ in range(random.randint(0, 4))}

    def of_s3(self) -> str:
        """What becomes of the next call; "" for nothing."""
        return self._chaos.planned("S3", self._of_s3)

    def of_import(self) -> str:
        """What becomes of the next file."""
        return self._chaos.planned("import", self._of_imports)

    def of_history(self) -> str:
        """What becomes of the next answer of the upload history."""
        return self._chaos.planned("history", self._of_history)
