"""Waiting for another load into the same target: deferred, so that no worker slot is held."""

import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

from airflow.providers.common.compat.sdk import BaseOperator

from optimove_provider.hooks.failures import as_airflow_failure

if TYPE_CHECKING:
    from optimove_provider.loads.lease import TargetBusy

SHORTEST, LONGEST = timedelta(seconds=12), timedelta(seconds=60)
"""A trigger that fires within 10 s of the deferral can get its task failed: apache/airflow#72716."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A load that may have to wait: its id, when the wait began (epoch seconds), and how often it has waited."""

    load_id: str
    since: float
    times: int = 0

    @property
    def waited(self) -> bool:
        """Whether this try has begun before."""
        return self.times > 0

    @classmethod
    def begin(cls, load_id: str) -> "Waiting":
        """A load that begins now."""
        return cls(load_id, time.time())


def defer_for(
    operator: BaseOperator, busy: "TargetBusy", waiting: Waiting, lock_timeout: timedelta | float
) -> NoReturn:
    """Defer for a while, each time for longer, since most loads are short; then the operator's `resume` tries again.

    Raises AirflowException, which names the holder, once `lock_timeout` is over.
    """
    from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

    patience = lock_timeout if isinstance(lock_timeout, timedelta) else timedelta(seconds=lock_timeout)
    waited = timedelta(seconds=time.time() - waiting.since)
    if waited > patience:
        raise as_airflow_failure(f"{busy}. It was waited for {waited} (lock_timeout)", retry_helps=True)
    pause = min(SHORTEST * 2 ** min(waiting.times, 3), LONGEST)
    operator.log.info("%s; trying again in %.0f s", busy, pause.total_seconds())
    again = Waiting(waiting.load_id, waiting.since, waiting.times + 1)
    operator.defer(trigger=TimeDeltaTrigger(pause), method_name="resume", kwargs={"waiting": asdict(again)})
