"""How this package's errors become Airflow's: the one place that decides what Airflow retries."""

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowNotFoundException

from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.contract.wire.outside import cut
from optimove_provider.disk.room import OF_WRITING, not_written


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
        raise as_airflow_failure(told, retry_helps=False) from None
    except OptimoveProviderError as error:
        raise as_airflow_failure(str(error), retry_helps=error.retry_helps) from error
    except OSError as error:
        failed = not_written(error, error.filename or "a file of this task") if error.errno in OF_WRITING else None
        if failed:
            raise as_airflow_failure(str(failed), retry_helps=failed.retry_helps) from error
        raise
