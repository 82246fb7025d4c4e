"""Airflow's own API server in this process, with the provider's pages in it, asked as different people."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from fastapi.testclient import TestClient


class AuthManagerByDag(SimpleAuthManager):
    """Knows, beside the users of the simple one, some that may read single DAGs: they are called "reads <dag id>"."""

    def is_authorized_dag(self, *, method: Any, user: Any, details: Any = None, **more: Any) -> bool:
        if not user.username.startswith("reads "):
            return super().is_authorized_dag(method=method, user=user, details=details, **more)
        return method == "GET" and (details is None or details.id == user.username.removeprefix("reads "))


ADMIN = SimpleAuthManagerUser(username="admin", role="ADMIN")
VIEWER = SimpleAuthManagerUser(username="viewer", role="VIEWER")


def who_reads(dag_id: str) -> SimpleAuthManagerUser:
    return SimpleAuthManagerUser(username=f"reads {dag_id}", role=None)


class Browser:
    """Asks for pages as one user, or as nobody; behind a base path if there is a `prefix`."""

    def __init__(self, client: Any, user: SimpleAuthManagerUser | None, prefix: str = "") -> None:
        self._client = TestClient(client.app, root_path=prefix) if prefix else client
        self._user, self._prefix = user, prefix

    def get(self, path: str, **query: Any) -> Any:
        return self._client.get(f"{self._prefix}{path}", params=query or None, headers=self._headers)

    def post(self, path: str, headers: Any = None, **query: Any) -> Any:
        """The answer itself, wherever it leads."""
        given = {**self._headers, **(headers or {})}
        return self._client.post(f"{self._prefix}{path}", params=query, headers=given, follow_redirects=False)

    @property
    def _headers(self) -> dict[str, str]:
        from airflow.api_fastapi.app import get_auth_manager

        return {"Authorization": f"Bearer {get_auth_manager().generate_jwt(self._user)}"} if self._user else {}

    def page(self, path: str = "", **query: Any) -> str:
        answer = self.get(f"/optimove/{path}", **query)
        assert answer.status_code == 200, answer.text
        return str(answer.text)


@contextmanager
def api_server() -> Iterator[Any]:
    """A client of a new API server."""
    from airflow.api_fastapi.app import create_app, purge_cached_app

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__AUTH_MANAGER", f"{__name__}.{AuthManagerByDag.__name__}")
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "a secret of these tests alone " * 3)
        with TestClient(create_app(apps="core")) as client:
            yield client
        purge_cached_app()
