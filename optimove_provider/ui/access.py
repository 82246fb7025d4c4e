"""Who sees what: loads of the DAGs that a user may read; the rest only if that user may read all DAGs."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails
from airflow.models.dag import DagModel
from airflow.utils.session import create_session
from sqlalchemy import select

from optimove_provider.loads.history.loads import Load

_OF_NO_DAG = "no DAG, of this or any other name"


@dataclass(frozen=True, slots=True)
class Reader:
    """Whoever is logged in: the DAGs that they may read, and whether those are all, also ones that are gone."""

    dag_ids: frozenset[str]
    reads_all: bool

    def may_read(self, dag_id: str) -> bool:
        """Whether they may see what belongs to a DAG; with an empty id, what belongs to none."""
        return self.reads_all or (dag_id != "" and dag_id in self.dag_ids)

    def may_read_each(self, dag_ids: Collection[str]) -> bool:
        """Whether they may see what belongs to several DAGs at once; of nobody knows whom, only if they read all."""
        return self.reads_all or (bool(dag_ids) and all(self.may_read(one) for one in dag_ids))

    def visible(self, loads: Iterable[Load]) -> list[Load]:
        """The loads that they may see."""
        return [load for load in loads if self.may_read(load.dag_id)]


def reader_of(user: Any) -> Reader:
    """The user as the auth manager knows them, asked anew with every request."""
    dag_ids = frozenset(get_auth_manager().get_authorized_dag_ids(user=user))
    return Reader(dag_ids, _may("GET", user) and _known_dags() <= dag_ids)


def _may(method: Any, user: Any) -> bool:
    """Whether they have the right for DAGs in general: without naming one, and for one that they were never given."""
    asked: tuple[DagDetails | None, ...] = (None, DagDetails(id=_OF_NO_DAG))
    return all(get_auth_manager().is_authorized_dag(method=method, user=user, details=one) for one in asked)


def _known_dags() -> set[str]:
    with create_session() as session:
        return set(session.scalars(select(DagModel.dag_id)))
