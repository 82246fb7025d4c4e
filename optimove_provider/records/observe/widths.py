"""Of how many digits ids are, and which of them seem to have lost leading zeros."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MAX_WIDTH = 64


class Widths:
    """Of how many digits the ids are, and what that says about leading zeros that are lost.

    Nothing tells a 7 that was 007 from a 7, and a counter has short numbers too, so only this counts as a trace: at
    least 99 % of the ids are digits and nothing else, the most frequent width is the greatest, and

    * half of the ids have it, some of which begin with 0: so the ids are padded, and a shorter one is not; or
    * 95 % of at least 20 ids have it, and it is 5 or more: so few shorter ones are rather damaged than older; or
    * 80 % of at least 100 ids have it, none begins with 0, but with each of the digits 1 to 9 at least 5 % do: so these
      are random digits, a tenth of which began with 0. A counter shows this only just before it needs one digit more.

    The last two ask for fewer ids than a tenth of all numbers of that width: otherwise a counter is the likely source.
    Suspected are the ids that are shorter and do not begin with 0 (a lone 0 may be what is left of zeros).
    """

    def __init__(self) -> None:
        self.ids = 0
        self._numbers = np.zeros((MAX_WIDTH + 1, 10), np.int64)  # by width and first digit

    def add(self, numbers: pa.BinaryArray, ids: int) -> None:
        """Count ids, of which these are numbers."""
        first = pc.binary_slice(numbers, 0, 1).cast(pa.string()).cast(pa.int64()).to_numpy(zero_copy_only=False)
        width = pc.binary_length(numbers).to_numpy(zero_copy_only=False)
        counted = np.bincount(width * np.int64(10) + first, minlength=self._numbers.size)
        self._numbers += counted.reshape(self._numbers.shape)
        self.ids += ids

    def full(self) -> int | None:
        """The width that ids have unless they lost zeros; None if nothing speaks for a loss."""
        by_width = self._numbers.sum(axis=1)
        numbers, width = int(by_width.sum()), int(by_width.argmax())
        if not numbers or numbers < 0.99 * self.ids or by_width[width + 1 :].any():
            return None
        return width if self._is_trace(width, int(by_width[width]), numbers) else None

    def _is_trace(self, width: int, full: int, numbers: int) -> bool:
        if self._numbers[width, 0]:
            return full >= numbers / 2
        few_shorter = width >= 5 and numbers >= 20 and full >= 0.95 * numbers
        as_random = full >= 100 and full >= 0.8 * numbers and int(self._numbers[width, 1:].min()) >= 0.05 * full
        return bool((few_shorter or as_random) and numbers < 10**width / 10)

    def suspected(self) -> int:
        """How many ids seem to have lost zeros."""
        width = self.full()
        if width is None:
            return 0
        lone_zeros = int(self._numbers[1, 0]) if width > 1 else 0
        return int(self._numbers[:width, 1:].sum()) + lone_zeros
