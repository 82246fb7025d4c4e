"""`{{ window.start }}` and `{{ window.end }}` in an operator's templates."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from optimove_provider.kinds import GRAIN, SPAN, Kind
from optimove_provider.tasks.checked_fields import CheckedOperator
from optimove_provider.tasks.failures import airflow_failures

if TYPE_CHECKING:
    import jinja2
    from airflow.providers.common.compat.sdk import DAG, Context

    from optimove_provider.loads.plan.window import Occasion, Window
    from optimove_provider.loads.report.report import Report
    from optimove_provider.tasks.windows.schedule import DagSchedule

_BY_BACKFILL, _BY_ASSETS = "backfill", "asset_triggered"
_MADE_FOR_A_POINT = ("scheduled", _BY_BACKFILL)


class RunWindow:
    """The window of the run, found when a template first asks for it; `used` says whether one did.

    Templates have it start so much earlier as `find_lookback` says.
    """

    def __init__(
        self, find: "Callable[[], Window]", find_lookback: Callable[[], timedelta] = lambda: timedelta(0)
    ) -> None:
        self._find, self._find_lookback = find, find_lookback
        self._window: Window | None = None

    @property
    def used(self) -> "Window | None":
        """The window if it was asked for."""
        return self._window

    @property
    def start(self) -> datetime:
        """The first instant whose rows are selected, in the DAG's zone: that of the window, or earlier."""
        with airflow_failures():
            return self.found.start_before(self._find_lookback())

    @property
    def end(self) -> datetime:
        """The first instant after the window, in the DAG's zone."""
        return self.found.end

    @property
    def found(self) -> "Window":
        """The window itself."""
        if self._window is None:
            with airflow_failures():
                self._window = self._find()
        return self._window


class WindowedOperator(CheckedOperator):
    """An operator whose templates know the window of the run, and which knows whether they asked for it.

    Where its template field `window` is given, the other templates have that one. `window_grain` and `window_lookback`
    are template fields that are checked.
    """

    window_grain: timedelta | float
    window_lookback: timedelta | float
    stands_for: "Window | None" = None
    """The window that `generation` found."""
    _run_window: RunWindow | None = None
    _context: "Context | None" = None

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
            self._context = context
            find = partial(self._asked_for, context=context, jinja_env=jinja_env)
            of_run = RunWindow(partial(self._window_of_run, context, partial(find, "window_grain", GRAIN)))
            within: Any = {**context, "window": of_run}
            super()._do_render_template_fields(parent, ("window",), within, jinja_env, seen_oids)
            template_fields = [name for name in template_fields if name != "window"]
            self._run_window = RunWindow(lambda: self._given_or(of_run), partial(find, "window_lookback", SPAN))
            context["window"] = self._run_window  # type: ignore[typeddict-unknown-key]
        super()._do_render_template_fields(parent, template_fields, context, jinja_env, seen_oids)

    def generation(self, given: Mapping[str, Any] | None) -> datetime | None:
        """The instant that the rows stand for: the end of the given window, or of the run's if a template asked for it.

        In UTC; None where neither is there. The log tells the window, and the rule that gave it.
        """
        from optimove_provider.loads.plan.window import given_window

        used = self._run_window.used if self._run_window else None
        window = used if given is None else given_window(given, self._zone_of_dag())
        self.stands_for = window
        if window:
            lookback = self.window_lookback if used else None
            self.log.info("window: %s%s", window, f"; templates have it start {lookback} earlier" if lookback else "")
        # Within a zone datetimes are compared by the wall clock, which shows some hours twice.
        return window.end.astimezone(UTC) if window else None

    def note_missed_points(self, report: "Report") -> None:
        """Warn in the log and in the report of points of the schedule that had no run before this run's point.

        Only where the run's window is that of a point. Where Airflow does not answer, nothing is said.
        """
        if self._context is None or not (self._run_window and self._run_window.used):
            return
        try:
            missed = _missed_points(self._context, self)
        except Exception as error:  # a warning that cannot be had is no reason to fail
            self.log.info("Airflow does not tell which points of the schedule had runs: %s", error)
            return
        if missed:
            self.log.warning("%s", missed)
            report.note(missed)

    def _window_of_run(self, context: "Context", find_grain: Callable[[], timedelta]) -> "Window":
        from optimove_provider.loads.plan.window import resolve

        return resolve(_occasion(context, self), find_grain())

    def _given_or(self, of_run: RunWindow) -> "Window":
        """The given window, else the run's; within `window=` itself, `window` is the run's."""
        from optimove_provider.loads.plan.window import given_window

        given = getattr(self, "window", None)
        return of_run.found if given is None else given_window(given, self._zone_of_dag())

    def _asked_for(self, name: str, kind: Kind, context: "Context", jinja_env: "jinja2.Environment") -> timedelta:
        """A span of the window's, which other templates may ask for before it is its turn to be rendered."""
        stated = self._stated[name]
        now = self.render_template(stated, context, jinja_env, set())
        found: timedelta = kind.rendered(name, now, stated)
        return found

    def _zone_of_dag(self) -> tzinfo:
        schedule = _schedule(self._context or {}, self)
        return schedule.zone if schedule else UTC


def _occasion(context: "Context", operator: BaseOperator) -> "Occasion":
    from optimove_provider.loads.plan.window import Occasion, Unscheduled

    dag_run, schedule = context.get("dag_run"), _schedule(context, operator)
    run_type = _run_type(dag_run)
    return Occasion(
        params=dict(context.get("params") or {}),
        interval=(context.get("data_interval_start"), context.get("data_interval_end")),
        partition_date=context.get("partition_date") or getattr(dag_run, "partition_date", None),
        run_after=getattr(dag_run, "run_after", None),
        partition_key=context.get("partition_key") or getattr(dag_run, "partition_key", None),
        scheduled=run_type in _MADE_FOR_A_POINT,
        point=getattr(dag_run, "run_after", None) if run_type == "scheduled" else None,
        by_backfill=run_type == _BY_BACKFILL,
        by_assets=run_type == _BY_ASSETS,
        zone=schedule.zone if schedule else UTC,
        schedule=schedule or Unscheduled(),
    )


def _dag(context: "Context", operator: BaseOperator) -> "DAG | None":
    return context.get("dag") or operator.get_dag()


def _schedule(context: "Context", operator: BaseOperator) -> "DagSchedule | None":
    from optimove_provider.tasks.windows.schedule import DagSchedule

    dag = _dag(context, operator)
    return DagSchedule(dag.timetable, dag.timezone) if dag else None


def _run_type(dag_run: Any) -> str:
    run_type = getattr(dag_run, "run_type", None) or ""
    return str(getattr(run_type, "value", run_type))


def _missed_points(context: "Context", operator: BaseOperator) -> str | None:
    """What to say of the points before the one of this run; None if there is nothing to say."""
    from optimove_provider.tasks.windows.missed_points import any_run_of, missed_points, told

    dag, schedule, occasion = _dag(context, operator), _schedule(context, operator), _occasion(context, operator)
    at = occasion.interval[1] or occasion.run_after
    if not dag or not schedule or not at or occasion.by_assets or _run_type(context.get("dag_run")) == _BY_BACKFILL:
        return None
    _, last = schedule.until(at)
    if last is None or last.at != at:
        return None  # a run by hand
    since = min((task.start_date for task in dag.tasks if task.start_date), default=dag.start_date)
    missed = missed_points(schedule, at, since, any_run_of(schedule, context["ti"]))
    return told(schedule, dag.dag_id, missed) if missed else None
