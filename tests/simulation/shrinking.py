"""A smaller history that breaks the same promise: what is not needed for that is left out."""

from collections.abc import Callable, Sequence

from tests.simulation.cut import Cut
from tests.simulation.life import Life, lived
from tests.simulation.world import SHRINKABLE

MOST_LIVES = 250


def shrunk(broken: Life, cut: Cut, live: Callable[[int, Cut], Life] = lived) -> tuple[Life, list[str]]:
    """The smallest life that is found in so many, and the names of all that is in it."""
    search = _Search(broken, live)
    names = [name for name in (*SHRINKABLE, *broken.happened) if cut.keeps(name)]
    if not search.still_breaks(names):  # what is drawn on the way is another thing in a smaller history
        return broken, names
    return search.smallest(names)


class _Search:
    def __init__(self, broken: Life, live: Callable[[int, Cut], Life]) -> None:
        self._seed, self._promise, self._live, self._left = broken.seed, broken.promise, live, MOST_LIVES
        self._best = broken

    def still_breaks(self, names: Sequence[str]) -> bool:
        """Whether these alone break the promise."""
        if not self._left:
            return False
        self._left -= 1
        life = self._live(self._seed, Cut.of(names))
        if life.promise != self._promise:
            return False
        self._best = life
        return True

    def smallest(self, names: list[str]) -> tuple[Life, list[str]]:
        """Leave out halves, then quarters, and so on: then one by one, until nothing can go."""
        size = len(names) // 2
        while size:
            start, has_gone = 0, False
            while start < len(names):
                fewer = names[:start] + names[start + size :]
                if self.still_breaks(fewer):
                    names, has_gone = self._of_those(fewer), True
                else:
                    start += size
            size = size // 2 if size > 1 else int(has_gone and self._left > 0)
        return self._best, names

    def _of_those(self, names: list[str]) -> list[str]:
        """Without faults that nothing meets any more."""
        return [name for name in names if name in SHRINKABLE or name in self._best.happened]
