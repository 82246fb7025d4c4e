"""How this package's errors become Airflow's: the one place that decides what Airflow retries."""

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.contract.wire.outside import cut


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
    except OptimoveProviderError as error:
        raise as_airflow_failure(str(error), retry_helps=error.retry_helps) from error
