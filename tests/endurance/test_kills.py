"""Processes of a real Airflow on PostgreSQL die by SIGKILL while loads are under way: no row is the worse for it.

`python -m benchmarks.kills` does the same with fifty loads.
"""

import pytest

from optimove_provider.demo import standalone
from tests.support.kills.killer import MACHINE, SCHEDULER, SUPERVISOR, TASK, TRIGGERER
from tests.support.kills.killing import run_loads, running_field

LOADS = (
    ("optix_changed", TASK),
    ("optix_full", SUPERVISOR),
    ("optix_changed", MACHINE),
    ("dcp_changed", TRIGGERER),
    ("dcp_full", SCHEDULER),
)


@pytest.mark.any_version
def test_five_deaths_cost_retries_and_no_row(tmp_path):
    with running_field(tmp_path, [dag_id for dag_id, _ in LOADS]) as (field, lanes):
        run_loads(field, lanes, {number: [kind] for number, (_, kind) in enumerate(LOADS)}, seed=1)
        assert field.emulator.state.violations == []
    assert [one for one in field.outcomes if one.state != "success" or not one.verdict.is_right] == []
    assert set(field.killer.kills) == {kind for _, kind in LOADS}, "each has hit"
    assert sum(one.tries for one in field.outcomes) > len(LOADS)
    assert [process.pid for process in field.cluster.started if standalone.family(process.pid)] == []
