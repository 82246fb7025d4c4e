"""A worker whose clock is wrong begins no load."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowException

from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUpdateOperator, OptixUploadOperator
from optimove_provider.surroundings import REAL
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
