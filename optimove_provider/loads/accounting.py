"""Time, state and problem of a load, kept in its report however it ends."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from optimove_provider.loads.lease import TargetBusy
from optimove_provider.loads.report import Report


@contextmanager
def accounted(report: Report, all_or_nothing: bool = False) -> Iterator[None]:
    """Keep time, state and problem in the report. `all_or_nothing`: of a load that fails, no row counts as accepted."""
    began = time.monotonic()
    try:
        yield
        report.refuse_unaccounted()
    except TargetBusy:
        raise  # nothing has failed: the load waits
    except BaseException as error:
        report.state, report.problem = "failed", str(error)
        if all_or_nothing:
            report.accepted = 0
        raise
    finally:
        report.seconds += time.monotonic() - began
