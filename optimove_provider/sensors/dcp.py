"""Sensors of Dynamic Customer Profiles."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from optimove_provider.contract.dcp.upload_history import ImportState, Outcome, common_state, counted
from optimove_provider.contract.dcp.waiting import MAX_FAILED_POLLS, tolerable
from optimove_provider.contract.wire.errors import OptimoveProviderError, SettingsError
from optimove_provider.contract.wire.outside import cut
from optimove_provider.contract.wire.targets import id_number
from optimove_provider.hooks.dcp import DcpHook
from optimove_provider.surroundings import REAL
from optimove_provider.tasks.failures import airflow_failures, as_airflow_failure
from optimove_provider.tasks.readback import upload_history
from optimove_provider.tasks.staging import staging
from optimove_provider.triggers.dcp import FIRST_POLL_SECONDS, DcpUploadTrigger

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from optimove_provider.clients.dcp import DcpClient


class _DcpSensor(BaseSensorOperator):
    """What both sensors share: a few failed polls are borne, and soft_fail means the same in every mode."""

    dcp_conn_id: str
    max_failed_polls: int
    _failed_polls = 0
    _not_before = float("-inf")

    def poke(self, context: "Context") -> PokeReturnValue:
        """Ask once, unless a server asked to be left alone for so long."""
        if REAL.monotonic() < self._not_before:
            return PokeReturnValue(False)
        with self._skipping_if_soft(), airflow_failures():
            try:
                poked = self._ask()
            except OptimoveProviderError as error:
                # A rescheduled sensor is a new process at each poke, so there each failure is the first.
                self._failed_polls += 1
                # Nor does it know there how long it was asked to wait.
                too_soon = self.reschedule and error.asked_seconds > self.poke_interval
                if too_soon or not tolerable(error, self._failed_polls, self.max_failed_polls):
                    raise
                self._not_before = REAL.monotonic() + error.asked_seconds
                self.log.warning("failed poll %d of %d: %s", self._failed_polls, self.max_failed_polls, error)
                return PokeReturnValue(False)
            self._failed_polls = 0
            return poked

    def _ask(self) -> PokeReturnValue:
        raise NotImplementedError

    def _polling(self) -> "DcpClient":
        from optimove_provider.clients.http.patience import POLLING

        return DcpHook(self.dcp_conn_id).get_conn(POLLING)

    @contextmanager
    def _skipping_if_soft(self) -> Iterator[None]:
        """Skip on failure as the base class does when it resumes: while poking, it skips on some failures only."""
        try:
            yield
        except AirflowException as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(f"skipped, as soft_fail or never_fail asks: {error}") from error
            raise


class DcpUploadSensor(_DcpSensor):
    """Wait until uploaded files are imported; fails if one was not.

    The vendor documents no endpoint for its Upload History. If the connection's `upload_history_url` names one, that is
    asked. Otherwise profiles are read back: of a few rows that the import operator remembered before the upload (or
    that are read from the file, if it remembered none), until they carry the file's values. That cannot see a file that
    the vendor refused, so give a `timeout`. `timeout` and `soft_fail` mean the same whether the sensor is deferred or
    not.

    :param table_id: the table.
    :param s3_key: a file's S3 key, a list of keys, or the whole output of `DcpS3ImportOperator`, mapped or not. Then a
        history that counts fewer rows than were sent is a failure too. Of plain keys nobody knows how many rows were
        sent, so the history's counts are not judged; `{"s3_keys": [...], "accepted": rows}` tells it.
    :param max_failed_polls: so many polls in a row may fail for a reason that passes.
    :param deferrable: wait in the triggerer, without a worker slot.
    :param dcp_conn_id: the connection to DCP.
    """

    template_fields: Sequence[str] = ("table_id", "s3_key", "dcp_conn_id")

    def __init__(
        self,
        *,
        table_id: int,
        s3_key: str | Sequence[str] | Mapping[str, Any],
        max_failed_polls: int = MAX_FAILED_POLLS,
        dcp_conn_id: str = DcpHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table_id = table_id
        self.s3_key = s3_key
        self.max_failed_polls = max_failed_polls
        self.dcp_conn_id = dcp_conn_id
        self.deferrable = deferrable
        self._told = set[str]()

    def execute(self, context: "Context") -> Any:
        """Return {"rows_processed": n, "evidence": {...}, "files": [history entries]}.

        n is None where profiles were read back. The evidence is that of a load's result: {"kind": "counted"}, {"kind":
        "sampled", "read_back": n, "of": m} or {"kind": "none", "why": text}; m is there if `s3_key` says it.
        """
        if not self.deferrable:
            return super().execute(context)
        poked = self.poke(context)
        if not poked:
            self._defer()
        return poked.xcom_value

    def execute_complete(self, context: "Context", event: dict[str, Any]) -> Any:
        """Finish with what the trigger saw."""
        if "error" in event:
            self.log.error("%s", event["error"])
            raise as_airflow_failure(event["error"], retry_helps=event["retry_helps"])
        return self._judge(Outcome.from_json(event["outcome"])).xcom_value

    def _ask(self) -> PokeReturnValue:
        if not self._keys:
            self.log.info("no file was uploaded, so there is nothing to wait for")
            return PokeReturnValue(True, _result(common_state(()), 0))
        with self._polling() as client:
            history = upload_history(client, id_number("table_id", self.table_id), staging(), self._told)
            return self._judge(history.outcome(self._keys))

    @property
    def _keys(self) -> list[str]:
        return _sent(self.s3_key)[0]

    def _defer(self) -> None:
        with self._skipping_if_soft(), airflow_failures(), self._polling() as client:
            remembered = upload_history(client, id_number("table_id", self.table_id), staging()).remembered(self._keys)
        trigger = DcpUploadTrigger(
            table_id=id_number("table_id", self.table_id),
            s3_keys=self._keys,
            dcp_conn_id=self.dcp_conn_id,
            poll_seconds=self.poke_interval,
            first_poll_seconds=max(self.poke_interval, FIRST_POLL_SECONDS),
            max_failed_polls=self.max_failed_polls,
            samples=None if remembered is None else [one.as_json() for one in remembered],
        )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=timedelta(seconds=self.timeout))

    def _judge(self, outcome: Outcome) -> PokeReturnValue:
        from optimove_provider.contract.dcp.readback import is_unreadable

        _, rows = _sent(self.s3_key)
        if rows is not None:
            outcome = counted(outcome, rows)
        self.log.info("%s", cut(outcome.sentence))
        if is_unreadable(outcome):
            raise as_airflow_failure(
                f"table {self.table_id}: whether its files are imported cannot be seen: {outcome.sentence}. They are "
                "uploaded. Mend that, or name an upload_history_url in the connection",
                retry_helps=False,
            )
        if outcome.state is ImportState.FAILED:
            told = f"table {self.table_id}: the import failed: {outcome.sentence}. Mend what it names, and import again"
            raise as_airflow_failure(told, retry_helps=False)
        return PokeReturnValue(outcome.state is ImportState.DONE, _result(outcome, rows))


def _sent(given: Any) -> tuple[list[str], int | None]:
    """The files that `s3_key` means, and how many rows were sent in all of them; None where that is not told.

    Of mapped import operators the output is a list. Raises SettingsError.
    """
    parts = [given] if isinstance(given, str | Mapping) or not isinstance(given, Iterable) else list(given)
    keys, rows = list[str](), list[Any]()
    for part in parts:
        named = part.get("s3_keys") if isinstance(part, Mapping) else [part]
        counted_rows = part.get("accepted") if isinstance(part, Mapping) else None
        if not isinstance(named, list | tuple) or not all(isinstance(key, str) and key.strip() for key in named):
            raise SettingsError(f"s3_key={given!r:.200}: {_EXPECTED}")
        if isinstance(counted_rows, bool) or not isinstance(counted_rows, int | None):
            raise SettingsError(f"s3_key={given!r:.200}: accepted is to be a number of rows; {_EXPECTED}")
        keys += named
        rows.append(counted_rows)
    return keys, None if not rows or None in rows else sum(rows)


_EXPECTED = "expected an S3 key, a list of them, or the output of a DcpS3ImportOperator"


def _result(outcome: Outcome, sent: int | None) -> dict[str, Any]:
    from optimove_provider.contract.dcp.evidence import evidence_of

    counts = [entry.rows_processed for entry in outcome.entries]
    rows = None if None in counts else sum(count for count in counts if count is not None)
    files = [entry.as_json() for entry in outcome.entries]
    return {"rows_processed": rows, "evidence": evidence_of(outcome, sent).as_json(), "files": files}


class DcpProfileSensor(_DcpSensor):
    """Wait until profiles are there, and hold the values that are expected of them.

    :param table_id: the table.
    :param customer_ids: customers that must have a profile; or
    :param profiles: a mapping of customer ids to the values that are expected, by attribute name; attributes that are
        not named do not matter.
    :param max_failed_polls: so many polls in a row may fail for a reason that passes.
    :param dcp_conn_id: the connection to DCP.
    """

    template_fields: Sequence[str] = ("table_id", "customer_ids", "profiles", "dcp_conn_id")

    def __init__(
        self,
        *,
        table_id: int,
        customer_ids: Sequence[str] | None = None,
        profiles: Mapping[str, Mapping[str, Any]] | None = None,
        max_failed_polls: int = MAX_FAILED_POLLS,
        dcp_conn_id: str = DcpHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table_id = table_id
        self.customer_ids = customer_ids
        self.profiles = profiles
        self.max_failed_polls = max_failed_polls
        self.dcp_conn_id = dcp_conn_id

    def _ask(self) -> PokeReturnValue:
        """Read the profiles once; the result is {"profiles": n}, how many there are."""
        from optimove_provider.loads.profiles.profiles import missing_values

        if (self.customer_ids is None) == (self.profiles is None):
            raise SettingsError("give either customer_ids= or profiles=, not both and not neither")
        wanted = self.profiles if self.profiles is not None else {one: {} for one in self.customer_ids or ()}
        with self._polling() as client:
            missing = list(missing_values(client, id_number("table_id", self.table_id), wanted))
        for sentence in missing[:_SHOWN]:
            self.log.info("%s", sentence)
        self.log.info("%d of %d profiles are as expected", len(wanted) - len(missing), len(wanted))
        return PokeReturnValue(not missing, {"profiles": len(wanted)})


_SHOWN = 10
