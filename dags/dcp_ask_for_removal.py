"""
### Customers who asked to be removed, out of Optimizely

Trigger it with ids of customers as DCP knows them. For each, Optimizely is asked to delete all data that it has of the
customer, in all of its products: a subject access request of its REST API v2, the one documented way. It cannot be
undone. The result of `ask` has each request's id, and by when Optimizely has to be done.

First leave the customers out of what you import: DCP's imports know no list of whom to leave out.

**Needs** `rest_token` in the connection: a personal access token of the REST API v2.

Ids in the trigger form stay in Airflow's database, as the run's configuration.

**If it fails:** the log says what Optimizely answered, and how many were asked for before. Mend the cause and clear the
task: to ask again does no harm.
"""

from datetime import timedelta

from airflow.sdk import DAG, Param

from optimove_provider.operators.dcp_subject_access import DcpSubjectAccessOperator

with DAG(
    "dcp_ask_for_removal",
    schedule=None,
    doc_md=__doc__,
    tags=["optimove", "dcp", "example"],
    params={"ids": Param([], type="array", items={"type": "string"}, description="Ids of customers, one a line")},
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
):
    DcpSubjectAccessOperator(task_id="ask", customer_ids="{{ params.ids | tojson }}")
