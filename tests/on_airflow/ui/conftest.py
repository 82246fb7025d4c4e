"""An API server, and loads of two DAGs into one data connection."""

import pytest
from airflow.sdk import DAG

from optimove_provider.demo import journey
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUploadOperator
from tests.support.running import context
from tests.support.ui.pages import ADMIN, Browser, api_server

DAGS = ("sync_orders", "sync_people")


@pytest.fixture(scope="session")
def known_dags(airflow_db):
    for dag_id in DAGS:
        journey.register(DAG(dag_id, schedule=None))


@pytest.fixture(scope="package")
def server(known_dags):
    with api_server() as client:
        yield client


@pytest.fixture
def admin(server):
    return Browser(server, ADMIN)


@pytest.fixture
def connection(emulator):
    return OptixCreateConnectionOperator(task_id="create", name="Customers", primary_key="id").execute({})


@pytest.fixture
def upload(emulator, connection):
    """A function that loads rows as a task of a DAG, and returns the task's result."""
    emulator.state.switches = Switches(poison="poison")

    def load(rows, dag_id=DAGS[0], **options):
        options = {"max_rejected": 0.9, "guards": {"max_changed_share": None}, **options}
        operator = OptixUploadOperator(
            task_id="upload", data_connection_uuid=connection, primary_key="id", source=rows, **options
        )
        about = context(operator)
        about["ti"].dag_id = dag_id
        return operator.execute(about)

    return load
