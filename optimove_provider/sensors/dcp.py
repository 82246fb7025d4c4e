"""Sensors of Dynamic Customer Profiles."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from optimove_provider.contract.uploads import HistoryEntry, Outcome, Verdict
from optimove_provider.hooks.dcp import DcpHook
from optimove_provider.hooks.failures import airflow_failures, as_airflow_failure
from optimove_provider.triggers.dcp import FIRST_POLL_SECONDS, DcpUploadTrigger

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class DcpUploadSensor(BaseSensorOperator):
    """Wait until the upload history shows that files were imported; fails, in the history's own words, if one was not.

    The vendor documents no endpoint for its Upload History: the connection's `upload_history_url` must name one.
    `timeout` and `soft_fail` mean the same whether the sensor is deferred or not.

    :param table_id: the table.
    :param s3_key: a file's S3 key, a list of keys, or the whole output of a `DcpS3ImportOperator`.
    :param deferrable: wait in the triggerer, without a worker slot.
    """

    template_fields: Sequence[str] = ("table_id", "s3_key", "dcp_conn_id")

    def __init__(
        self,
        *,
        table_id: int,
        s3_key: str | Sequence[str] | Mapping[str, Any],
        dcp_conn_id: str = DcpHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table_id = table_id
        self.s3_key = s3_key
        self.dcp_conn_id = dcp_conn_id
        self.deferrable = deferrable

    def execute(self, context: "Context") -> Any:
        """Return {"rows_processed": n, "files": [history entries]}."""
        if not self.deferrable:
            return super().execute(context)
        settled = self.poke(context)
        if not settled:
            self._defer()
        return settled.xcom_value

    def poke(self, context: "Context") -> PokeReturnValue:
        """Ask the history once."""
        if not self._keys:
            self.log.info("no file was uploaded, so there is nothing to wait for")
            return PokeReturnValue(True, _result(()))
        with self._skipping_if_soft(), airflow_failures(), DcpHook(self.dcp_conn_id).get_conn() as client:
            return self._settle(client.upload_outcome(int(self.table_id), self._keys))

    def execute_complete(self, context: "Context", event: dict[str, Any]) -> Any:
        """Finish with what the trigger saw."""
        if "error" in event:
            self.log.error("%s", event["error"])
            raise as_airflow_failure(event["error"], retry_helps=event["retry_helps"])
        return self._settle(Outcome.from_json(event["outcome"])).xcom_value

    @property
    def _keys(self) -> list[str]:
        key = self.s3_key["s3_keys"] if isinstance(self.s3_key, Mapping) else self.s3_key
        return [key] if isinstance(key, str) else list(key)

    def _defer(self) -> None:
        trigger = DcpUploadTrigger(
            table_id=int(self.table_id),
            s3_keys=self._keys,
            dcp_conn_id=self.dcp_conn_id,
            poll_seconds=self.poke_interval,
            first_poll_seconds=max(self.poke_interval, FIRST_POLL_SECONDS),
        )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=timedelta(seconds=self.timeout))

    def _settle(self, outcome: Outcome) -> PokeReturnValue:
        self.log.info("%s", outcome.sentence)
        if outcome.verdict is Verdict.FAILED:
            raise AirflowFailException(f"table {self.table_id}: the import failed: {outcome.sentence}")
        return PokeReturnValue(outcome.verdict is Verdict.DONE, _result(outcome.entries))

    @contextmanager
    def _skipping_if_soft(self) -> Iterator[None]:
        """Skip on failure as the base class does when it resumes: while poking, it skips on some failures only."""
        try:
            yield
        except AirflowException as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(f"skipped, as soft_fail or never_fail asks: {error}") from error
            raise


def _result(entries: Sequence[HistoryEntry]) -> dict[str, Any]:
    return {
        "rows_processed": sum(entry.rows_processed for entry in entries),
        "files": [entry.as_json() for entry in entries],
    }
