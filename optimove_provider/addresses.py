"""Where the pages of the Sync history are within Airflow: strings only, so that tasks may make links of them."""

from urllib.parse import urlencode, urlsplit

MOUNT = "optimove"
"""Below this the API server serves the pages themselves."""
IN_MENU = "optimove_nav"
"""The view of Airflow's menu that shows them."""


REPLAY, RELEASE, PLAN, SEND_ALL = "replay", "release", "plan", "send_all"
"""What the Sync history has done: the rejected rows of a load sent again, or its lease released; or its DAG run once
more, to plan only, or to send all rows."""
PARAMS = {PLAN: "dry_run", SEND_ALL: "send_all"}
"""The param of the load's own DAG that says so, true or false."""


def replay_dag_id(for_dag: str) -> str:
    """The id of the DAG that does so for the loads of a DAG, if the user has added it.

    :param for_dag: the id of the DAG whose loads it is for.
    """
    return f"{for_dag}__replay"


def prefix_of(base_url: str) -> str:
    """What stands before every path of an Airflow, by its `[api] base_url`: "" or, as with a proxy, "/airflow".

    :param base_url: that option.
    """
    return urlsplit(base_url).path.rstrip("/")


def load_page(prefix: str, load_id: str) -> str:
    """The page of a load, within Airflow's own page.

    :param prefix: what `prefix_of` gives.
    :param load_id: the load.
    """
    return _within_airflow(prefix, "load", id=load_id)


def rejected_page(prefix: str, load_id: str) -> str:
    """The page with a load's rejected rows, within Airflow's own page.

    :param prefix: what `prefix_of` gives.
    :param load_id: the load.
    """
    return _within_airflow(prefix, "rejected", id=load_id)


def _within_airflow(prefix: str, page: str, **query: str) -> str:
    """The prefix stands twice: for Airflow's page, and for the one that this shows."""
    return f"{prefix}/plugin/{IN_MENU}{prefix}/{MOUNT}/{page}?{urlencode(query)}"
