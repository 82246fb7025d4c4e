"""The plugin that Airflow finds by its entry point, in every process: so it imports nothing heavy."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from optimove_provider.addresses import IN_MENU, MOUNT

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


class LazyApp:
    """The pages, which are loaded when somebody asks for the first one."""

    _app: App | None = None

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer a request."""
        if self._app is None:
            from optimove_provider.ui.app import build

            self._app = build()
        await self._app(scope, receive, send)


def _view(destination: str, query: str = "", **more: str) -> dict[str, str]:
    """A page in Airflow's menu, or a tab. A link that begins with a slash would be wrong behind a base path."""
    return {
        "name": "Sync history",
        "href": f"{MOUNT}/{query}",
        "destination": destination,
        "url_route": f"optimove_{destination}",
        "icon": f"{MOUNT}/static/icon.svg",
        "icon_dark_mode": f"{MOUNT}/static/icon-dark.svg",
        **more,
    }


class OptimovePlugin(AirflowPlugin):
    """The page in the menu, and the tabs of DAGs, runs, tasks and task instances."""

    name = "optimove"
    fastapi_apps = [{"app": LazyApp(), "url_prefix": f"/{MOUNT}", "name": "Sync history"}]  # noqa: RUF012 - as Airflow wants it
    external_views = [  # noqa: RUF012
        _view("nav", category="browse", url_route=IN_MENU),
        _view("dag", "?dag_id={DAG_ID}"),
        _view("dag_run", "?dag_id={DAG_ID}&run_id={RUN_ID}"),
        _view("task", "?dag_id={DAG_ID}&task_id={TASK_ID}"),
        # Of a task that is not mapped, Airflow leaves {MAP_INDEX} as it stands.
        _view("task_instance", "?dag_id={DAG_ID}&run_id={RUN_ID}&task_id={TASK_ID}&map_index={MAP_INDEX}"),
    ]
