"""`{{ window.start }}` and `{{ window.end }}` in an operator's templates."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from optimove_provider.tasks.failures import airflow_failures

if TYPE_CHECKING:
    import jinja2
    from airflow.providers.common.compat.sdk import Context

    from optimove_provider.loads.plan.window import Occasion, Window


class RunWindow:
    """The window of the run, resolved when a template first asks for it; `used` says whether one did."""

    def __init__(self, occasion: "Occasion", grain: timedelta) -> None:
        self._occasion, self._grain = occasion, grain
        self._window: Window | None = None

    @property
    def used(self) -> "Window | None":
        """The window if it was asked for."""
        return self._window

    @property
    def start(self) -> datetime:
        """The first instant of the window."""
        return self._resolved.start

    @property
    def end(self) -> datetime:
        """The first instant after the window."""
        return self._resolved.end

    @property
    def _resolved(self) -> "Window":
        from optimove_provider.loads.plan.window import resolve

        if self._window is None:
            with airflow_failures():
                self._window = resolve(self._occasion, self._grain)
        return self._window


class WindowedOperator(BaseOperator):
    """An operator whose templates know the window of the run, and which knows whether they asked for it."""

    window_grain: timedelta
    _run_window: RunWindow | None = None

    # The one method that Airflow calls for mapped tasks and for others alike.
    def _do_render_template_fields(
        self,
        parent: Any,
        template_fields: Iterable[str],
        context: "Context",
        jinja_env: "jinja2.Environment",
        seen_oids: set[int],
    ) -> None:
        if parent is self:
            self._run_window = RunWindow(_occasion(context), self.window_grain)
            context["window"] = self._run_window  # type: ignore[typeddict-unknown-key]
        super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)

    def generation(self, given: Mapping[str, Any] | None) -> datetime | None:
        """The instant that the rows stand for: the end of the given window, or of the run's if a template asked for it.

        None where neither is there. The log tells the window, and the rule that gave it.
        """
        from optimove_provider.loads.plan.window import given_window

        used = self._run_window.used if self._run_window else None
        window = used if given is None else given_window(given)
        if window:
            self.log.info("window: %s", window)
        return window.end if window else None


def _occasion(context: "Context") -> "Occasion":
    from optimove_provider.loads.plan.window import Occasion

    dag_run = context.get("dag_run")
    return Occasion(
        params=dict(context.get("params") or {}),
        interval=(context.get("data_interval_start"), context.get("data_interval_end")),
        partition_date=context.get("partition_date") or getattr(dag_run, "partition_date", None),
        run_after=getattr(dag_run, "run_after", None),
    )
