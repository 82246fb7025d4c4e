"""What a person is asked before a plan is carried out: what is unknown counts, and samples are there on a first run."""

import pytest

from optimove_provider.emulator.model.faults import Fault
from optimove_provider.operators.approval import plan_text, share_of_change
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUploadOperator
from tests.support.running import run

ROWS = [{"id": str(number), "name": f"n|`{number}"} for number in range(1, 31)]


@pytest.fixture
def connection(emulator):
    return OptixCreateConnectionOperator(task_id="create", name="Approved", primary_key="id").execute({})


def upload(connection, rows=ROWS, **options):
    how = {"mode": "changed", "guards": {"max_changed_share": None}, **options}
    return run(
        OptixUploadOperator(task_id="u", data_connection_uuid=connection, primary_key="id", source=rows, **how),
    )


def test_a_first_plan_is_told_with_samples_and_a_link_to_its_page(connection, monkeypatch):
    monkeypatch.setenv("AIRFLOW__OPTIMOVE__SHOW_RECORDS", "True")
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.test/base")
    plan = upload(connection, dry_run=True)
    told = plan_text(plan)
    assert "| new | changed | unknown | removed |\n| --- | --- | --- | --- |\n| 30 | 0 | 0 | 0 |" in told
    assert '| new | `"1"` | `name` | `null` | `"n\\|\'1"` |' in told
    page = "https://airflow.test/base/plugin/optimove_nav/base/optimove/load?id=" + plan["load_id"]
    assert f"]({page})" in told
    assert plan["plan"] in told
    assert share_of_change(plan) == 1


def test_without_the_setting_samples_name_columns_and_no_value(connection):
    told = plan_text(upload(connection, dry_run=True))
    assert "* new: `id`, `name`" in told
    assert "n|" not in told


def test_old_and_new_values_stand_beside_each_other(connection, monkeypatch):
    monkeypatch.setenv("AIRFLOW__OPTIMOVE__SHOW_RECORDS", "True")
    upload(connection, [{"id": "1", "n": 1}, {"id": "2", "n": 2}])
    told = plan_text(upload(connection, [{"id": "1", "n": 5}], dry_run=True))
    assert '| changed | `"1"` | `n` | `1` | `5` |' in told
    assert '| removed | `"2"` | `n` | `2` | `null` |' in told


def test_after_a_load_that_died_everything_is_asked_about(emulator, connection):
    upload(connection)
    emulator.state.faults.order(Fault("upload_data", times=10**6, lost="after"))
    with pytest.raises(Exception, match="is not known"):
        upload(connection, sending={"give_up_after": 0}, mode="full")
    emulator.state.faults.answers.clear()
    plan = upload(connection, dry_run=True)
    assert (plan["new"], plan["changed"], plan["unknown"], plan["removed"]) == (0, 0, 30, 0)
    assert share_of_change(plan) == 1


def test_nothing_to_ask_about_is_a_share_of_nothing(connection):
    upload(connection)
    assert share_of_change(upload(connection, dry_run=True)) == 0
