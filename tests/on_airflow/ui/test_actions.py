"""The buttons of a load's page, and the DAG that does what they say."""

from pathlib import Path

import pytest
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.sdk import DAG, Param
from airflow.utils.session import create_session
from sqlalchemy import select

from optimove_provider.contract.wire.errors import DataError, SettingsError
from optimove_provider.demo import journey
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.loads.history.loads import LoadIndex, Target
from optimove_provider.loads.history.record import ledger_of
from optimove_provider.loads.ledger.lease import LeaseLost, acquire
from optimove_provider.operators.optix import OptixUploadOperator
from optimove_provider.operators.replay import act_for, replay_dag
from optimove_provider.tasks.staging import staging
from tests.on_airflow.ui.conftest import DAGS
from tests.support.ui.pages import VIEWER, Browser, who_reads

ROWS = [{"id": n, "name": "poison" if n == 2 else "well"} for n in range(1, 4)]
PARAMS = ("dry_run", "send_all")
AGAIN = f"{DAGS[0]}__replay"


@pytest.fixture(scope="module")
def again(known_dags):
    dag = replay_dag(for_dag=DAGS[0])
    journey.register(dag)
    _pause(False)
    return dag


@pytest.fixture
def load_id(upload):
    return upload(ROWS)["load_id"]


def _pause(paused, dag_id=AGAIN):
    with create_session() as session:
        session.scalars(select(DagModel).filter_by(dag_id=dag_id)).one().is_paused = paused


def runs(dag_id=AGAIN):
    with create_session() as session:
        found = session.scalars(select(DagRun).filter_by(dag_id=dag_id))
        return [(run.run_id, run.conf, run.triggering_user_name) for run in found]


def test_a_click_asks_first_and_then_triggers_a_run_for_this_load(admin, again, load_id):
    assert "Send the rejected rows again" in admin.page("load", id=load_id)
    before = runs()
    question = admin.page("act", id=load_id, action="replay")
    assert '<form method="post"' in question
    assert "1 row of load" in question
    assert runs() == before
    answer = admin.post("/optimove/act", id=load_id, action="replay")
    assert answer.status_code == 303
    ((_, conf, who),) = [one for one in runs() if one not in before]
    assert (conf, who) == ({"action": "replay", "load_id": load_id}, "admin")
    assert "Triggered" in admin.get(answer.headers["location"]).text


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_no_other_site_can_press_a_button(admin, again, load_id, site):
    before = runs()
    answer = admin.post("/optimove/act", {"Sec-Fetch-Site": site}, id=load_id, action="replay")
    assert (answer.status_code, runs()) == (403, before)


def test_who_may_not_trigger_the_dag_is_told_so(server, again, load_id):
    for user in (VIEWER, who_reads(DAGS[0])):
        browser = Browser(server, user)
        assert "You may not trigger this DAG" in browser.page("act", id=load_id, action="replay")
        assert browser.post("/optimove/act", id=load_id, action="replay").status_code == 409
    assert Browser(server, who_reads(DAGS[1])).get("/optimove/act", id=load_id, action="replay").status_code == 404


def test_a_dag_that_is_paused_or_not_there_is_told(admin, again, upload, load_id):
    _pause(True)
    assert "This DAG is paused" in admin.page("act", id=load_id, action="replay")
    _pause(False)
    other = upload(ROWS, dag_id=DAGS[1])["load_id"]
    assert "again = replay_dag(for_dag=&#39;sync_people&#39;)" in admin.page("act", id=other, action="replay")
    assert admin.post("/optimove/act", id=other, action="replay").status_code == 409


def test_only_what_makes_sense_is_offered(admin, again, upload):
    load_id = upload(ROWS[2:])["load_id"]
    page = admin.page("load", id=load_id)
    assert (page.count('class="button"'), "Plan now" in page) == (1, True)
    for action in ("replay", "release", "send_all", "no such action"):
        assert admin.get("/optimove/act", id=load_id, action=action).status_code == 404


def with_params(connection):
    """A DAG with the two params: anew for each run, as Airflow writes a run's conf into the params of the object."""
    with DAG("with_params", schedule=None, params={name: Param(False, type="boolean") for name in PARAMS}) as dag:
        OptixUploadOperator(
            task_id="upload",
            data_connection_uuid=connection,
            primary_key="id",
            source=ROWS[2:],
            mode="{{ 'full' if params.send_all else 'changed' }}",
            dry_run="{{ params.dry_run }}",
        )
    return dag


def test_a_plan_or_a_load_of_all_rows_is_a_run_of_the_dag_itself(admin, known_dags, connection):
    journey.register(with_params(connection))
    _pause(False, "with_params")
    journey.run(with_params(connection))
    (load,) = [one for one in LoadIndex().loads(staging()) if one.dag_id == "with_params"]
    for action, param, mode, state in (
        ("plan", "dry_run", "changed", "planned"),
        ("send_all", "send_all", "full", "committed"),
    ):
        assert "The DAG of this load runs once more" in admin.page("act", id=load.load_id, action=action)
        answer = admin.post("/optimove/act", id=load.load_id, action=action)
        assert "dags/with_params/runs/" in admin.get(answer.headers["location"]).text
        ((conf, who),) = [(conf, who) for _, conf, who in runs("with_params") if param in (conf or {})]
        assert (conf, who) == ({param: True}, "admin")
        journey.run(with_params(connection), conf=conf)
        newest = LoadIndex().loads(staging())[0]
        assert (newest.mode, newest.state) == (mode, state)


def test_a_dag_without_the_param_is_told(admin, again, upload):
    load_id = upload(ROWS[2:], mode="changed")["load_id"]
    for action, param in (("plan", "dry_run"), ("send_all", "send_all")):
        assert f"has no param &#39;{param}&#39;" in admin.page("act", id=load_id, action=action)
        assert admin.post("/optimove/act", id=load_id, action=action).status_code == 409


def test_the_dag_sends_the_rejected_rows_again(again, emulator, connection, load_id):
    emulator.state.switches = Switches()
    done = journey.run(again, conf={"action": "replay", "load_id": load_id})
    assert done.state == "success"
    assert done.results["act"]["accepted"] == 1
    visible = emulator.state.connections[connection].visible(emulator.state.clock())
    assert set(visible) == {"1", "2", "3"}


def test_rows_that_are_rejected_again_make_the_run_fail_and_the_others_land(upload, emulator, connection):
    load_id = upload([*ROWS, {"id": 4, "name": "poison"}])["load_id"]
    file = Path(staging().path(f"reports/{load_id}.rejected.jsonl"))
    file.write_text(file.read_text().replace("poison", "mended", 1))
    with pytest.raises(DataError, match="some rows were rejected again"):
        act_for(DAGS[0], "optix_default", "replay", load_id)
    assert set(emulator.state.connections[connection].visible(emulator.state.clock())) == {"1", "2", "3"}


@pytest.mark.parametrize("load_id", ["../../airflow", "", "11111111-0000-4000-8000-000000000000"])
def test_the_dag_refuses_what_is_no_load_of_its_own(emulator, load_id):
    with pytest.raises(SettingsError, match=r"load_id|no load of DAG"):
        act_for(DAGS[0], "optix_default", "replay", load_id)


def test_the_dag_refuses_loads_of_others(upload):
    other = upload(ROWS, dag_id=DAGS[1])["load_id"]
    with pytest.raises(SettingsError, match="acts for loads of that one only"):
        act_for(DAGS[0], "optix_default", "replay", other)


def test_a_dead_loads_lease_is_released(admin, again, upload, connection):
    load_id = upload(ROWS[2:])["load_id"]
    target = Target.of(staging().read(f"reports/{load_id}.json")["target"])
    assert act_for(DAGS[0], "optix_default", "release", load_id)["released"] is False
    lease = acquire(ledger_of(staging(), target), load_id, 1)
    assert "Release the lease" in admin.page("load", id=load_id)
    assert act_for(DAGS[0], "optix_default", "release", load_id)["released"] is True
    with pytest.raises(LeaseLost):
        lease.renew()
