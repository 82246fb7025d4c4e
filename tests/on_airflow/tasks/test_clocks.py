"""A worker whose clock is wrong begins no load."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowException, TaskDeferred

from optimove_provider.loads.ledger.lease import acquire
from optimove_provider.loads.ledger.ledger import ledger_of
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUpdateOperator, OptixUploadOperator
from optimove_provider.surroundings import REAL
from optimove_provider.tasks.staging import staging
from tests.support.running import context


@pytest.mark.parametrize("kind", [OptixUploadOperator, OptixUpdateOperator])
@pytest.mark.parametrize(("seconds", "is_wrong"), [(-40, True), (-20, False), (20, False), (40, True), (86_400, True)])
def test_a_clock_that_differs_from_that_of_staging_stops_the_load(emulator, tmp_path, kind, seconds, is_wrong):
    connection = OptixCreateConnectionOperator(task_id="create", name="Customers", primary_key="id").execute({})
    operator = kind(task_id="load", data_connection_uuid=connection, primary_key="id", source=[{"id": "1"}])
    operator.surroundings = replace(REAL, now=lambda: datetime.now(UTC) + timedelta(seconds=seconds))
    sent = len(emulator.state.requests)
    if is_wrong:
        with pytest.raises(AirflowException, match=r"clock of this machine says \S+, that of staging, .* must agree"):
            operator.execute(context(operator))
        assert len(emulator.state.requests) == sent
    else:
        assert operator.execute(context(operator))["accepted"] == 1


def test_a_load_that_goes_on_elsewhere_asks_the_clock_there(emulator):
    connection = OptixCreateConnectionOperator(task_id="create", name="Customers", primary_key="id").execute({})
    host = f"{emulator.url}/api/data-connections/v1"
    other = acquire(ledger_of(staging(), "optix", host, connection).manifest_file, "the other load", 1)
    operator = OptixUploadOperator(
        task_id="load", data_connection_uuid=connection, primary_key="id", source=[{"id": "1"}]
    )
    told = context(operator)
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(told)
    other.release()
    operator.surroundings = replace(REAL, now=lambda: datetime.now(UTC) + timedelta(hours=1))
    with pytest.raises(AirflowException, match="must agree"):
        operator.resume_execution(deferred.value.method_name, {"event": {}, **deferred.value.kwargs}, told)
