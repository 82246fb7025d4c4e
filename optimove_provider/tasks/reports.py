"""Reports of loads, filed however a load ends."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimove_provider.loads.report.report import Report
    from optimove_provider.loads.state.staging import Staging


@contextmanager
def report_filed(report: "Report", place: "Staging", say: Callable[..., None]) -> Iterator[None]:
    """File the report when the block is done or has failed, and `say` so; not while the load has to wait."""
    from optimove_provider.loads.ledger.lease import TargetBusy

    try:
        yield
    except TargetBusy:
        raise
    except BaseException:
        _file(report, place, say)
        raise
    _file(report, place, say)


def _file(report: "Report", place: "Staging", say: Callable[..., None]) -> None:
    say("%s; report: %s", report.sentence, report.file(place))
