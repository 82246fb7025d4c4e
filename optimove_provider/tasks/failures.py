"""How this package's errors become Airflow's: the one place that decides what Airflow retries."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowNotFoundException

from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.contract.wire.outside import cut
from optimove_provider.disk.room import OF_WRITING, not_written

log = logging.getLogger(__name__)


def as_airflow_failure(message: str, *, retry_helps: bool) -> AirflowException:
    """AirflowException, which Airflow retries, where that may help; otherwise AirflowFailException."""
    return AirflowException(cut(message)) if retry_helps else AirflowFailException(cut(message))


@contextmanager
def airflow_failures(passing: type[OptimoveProviderError] | tuple[()] = ()) -> Iterator[None]:
    """Turn this package's errors into Airflow's, but for `passing`. Anything else is a bug and passes as it is."""
    try:
        yield
    except passing:
        raise
    except AirflowNotFoundException as error:  # a connection, of whatever kind: a retry would not find it either
        told = f"{error}: make it in Airflow under Admin > Connections, then clear the task"
        raise _told(as_airflow_failure(told, retry_helps=False), error) from None
    except OptimoveProviderError as error:
        raise _told(as_airflow_failure(error.told or str(error), retry_helps=error.retry_helps), error) from None
    except OSError as error:
        failed = not_written(error, error.filename or "a file of this task") if error.errno in OF_WRITING else None
        if failed:
            raise _told(as_airflow_failure(str(failed), retry_helps=failed.retry_helps), error) from None
        raise


def _told(failure: AirflowException, error: Exception) -> AirflowException:
    """The failure, after the log has said it: what Airflow adds is one traceback, which leads to where it began."""
    if not getattr(error, "told", ""):
        log.error("%s", failure)
    for note in getattr(error, "__notes__", ()):
        failure.add_note(note)
    log.debug("what that comes from", exc_info=error)
    return failure.with_traceback(error.__traceback__)
