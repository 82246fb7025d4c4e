"""A few slices under way at a time. It knows neither the vendor nor the journal."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future

from optimove_provider.loads.spool.slices import Slice
from optimove_provider.surroundings import Surroundings


class SlicePool:
    """Hands slices to `send`, at most `most` at a time, each in a thread; `landed` is called as some of them land."""

    def __init__(self, most: int, surroundings: Surroundings, send: Callable[[Slice], None]) -> None:
        self._most, self._surroundings, self._send = most, surroundings, send

    def run(self, slices: Iterable[Slice], landed: Callable[[], None]) -> None:
        """Send all of them; the order cannot matter, as keys are unique in a load. The first error ends it."""
        under_way: set[Future[None]] = set()
        with self._surroundings.pool(self._most, "optix-send") as pool:
            try:
                for slice_ in slices:
                    under_way.add(pool.submit(self._send, slice_))
                    if len(under_way) >= self._most:
                        under_way = self._left(under_way)
                        landed()
                while under_way:
                    under_way = self._left(under_way)
                    landed()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _left(self, under_way: set[Future[None]]) -> set[Future[None]]:
        """Wait for one or more to land; returns the others."""
        done = self._surroundings.any_done(under_way)
        for future in done:
            future.result()
        return under_way - done
