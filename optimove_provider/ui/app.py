"""The pages of the Sync history: rendered here, without a step of building JavaScript; each asks who is there."""

import csv
import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.staticfiles import StaticFiles

from optimove_provider.addresses import MOUNT
from optimove_provider.clients.timeline import KINDS
from optimove_provider.contract.outcomes import SELDOM
from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.contract.wire.evidence import evidence_in
from optimove_provider.links.load import vendor_page
from optimove_provider.loads.history import words
from optimove_provider.loads.history.findings import findings_of
from optimove_provider.loads.history.loads import BEGUN, Load, LoadIndex, Target, report_of
from optimove_provider.loads.history.record import manifest_of, sightings, with_loads
from optimove_provider.loads.history.rejected import RejectedRow, rejected_path, rejected_rows
from optimove_provider.loads.owed.choice import DROPPED
from optimove_provider.loads.report import visibility
from optimove_provider.loads.report.begun import writers
from optimove_provider.loads.report.owed import OWED
from optimove_provider.loads.report.report import PLANNED
from optimove_provider.loads.state.staging import Staging
from optimove_provider.surroundings import REAL
from optimove_provider.tasks.staging import shows_records, staging
from optimove_provider.ui.access import Reader, reader_of
from optimove_provider.ui.actions import NAMES, Offer, is_sensible, offer_of, same_origin, trigger
from optimove_provider.ui.chart import HEIGHT, PARTS, WIDTH, chart
from optimove_provider.ui.task_states import states_of

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
A_PAGE = 25
"""Loads, or rejected rows, on one page."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "form-action 'self'; frame-ancestors 'self'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",  # what a user may see is asked with every request
}
_NOT_THERE = "There is no such load, or you may not read its DAG. Reports are kept for [optimove] keep_days."


class Visit:
    """One request: who asks, where the state is, and the loads that they may see, each looked up when it is needed."""

    def __init__(self, request: Request, user: Any) -> None:
        self.request, self.user = request, user

    @cached_property
    def place(self) -> Staging:
        """Where loads keep their state. Raises SettingsError."""
        return staging()

    @cached_property
    def reader(self) -> Reader:
        """Whose request it is."""
        return reader_of(self.user)

    @cached_property
    def loads(self) -> list[Load]:
        """The loads that they may see, the newest first."""
        return self.reader.visible(_INDEX.loads(self.place))

    def find(self, load_id: str) -> Load:
        """A load that they may see. Raises HTTPException 404, also for one that they may not."""
        for load in self.loads:
            if load.load_id == load_id:
                return load
        raise HTTPException(404, _NOT_THERE)

    def into(self, target: Target) -> list[Load]:
        """The loads into a target. Raises HTTPException 404 where they may see none."""
        found = [load for load in self.loads if load.target == target]
        if not found:
            raise HTTPException(404, "There is no load into this target, or you may not read the DAGs that load it.")
        return found


_INDEX = LoadIndex()


async def _visit(request: Request, user: GetUserDep) -> Visit:  # async, as it only puts two things together
    return Visit(request, user)


Visited = Annotated[Visit, Depends(_visit)]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which loads are listed. Empty means all; `map_index` counts only if it is a number."""

    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""
    map_index: str = ""
    target: str = ""
    state: str = ""

    @property
    def is_of_one_task(self) -> bool:
        """Whether this is the tab of a DAG, a run or a task: it has its own heading, and no choice of DAGs."""
        return bool(self.run_id or self.task_id)

    def takes(self, load: Load) -> bool:
        """Whether a load is listed, apart from its state."""
        wanted = {name: getattr(self, name) for name in ("dag_id", "run_id", "task_id") if getattr(self, name)}
        same = all(getattr(load, name) == value for name, value in wanted.items())
        is_index = self.map_index.isdigit()
        return (
            same and (not is_index or load.map_index == int(self.map_index)) and self.target in ("", load.target.name)
        )


def build() -> FastAPI:
    """The application that Airflow's API server mounts."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    app.add_exception_handler(StarletteHTTPException, _tell_http)
    app.add_exception_handler(OptimoveProviderError, _tell_error)
    app.add_exception_handler(OSError, _tell_error)
    for path, page in (("/", _list), ("/load", _load), ("/rejected", _rejected), ("/target", _target)):
        app.get(path, response_class=HTMLResponse)(page)
    app.get("/record", response_class=HTMLResponse)(_record)
    app.get("/rejected.csv")(_rejected_csv)
    app.get("/act", response_class=HTMLResponse)(_confirm)
    app.post("/act", dependencies=[Depends(same_origin)])(_act)
    return app


async def _filter(request: Request) -> Filter:
    return Filter(**{one.name: request.query_params.get(one.name, "") for one in fields(Filter)})


Wanted = Annotated[Filter, Depends(_filter)]


def _list(visit: Visited, wanted: Wanted, page: Annotated[int, Query(ge=1)] = 1) -> HTMLResponse:
    if wanted.dag_id and not visit.reader.may_read(wanted.dag_id):
        raise HTTPException(403, "You may not read this DAG.")
    loads = [load for load in visit.loads if wanted.takes(load)]
    states = states_of(loads) if wanted.state else {}
    if wanted.state:
        loads = [load for load in loads if states.get(load.load_id, load.state) == wanted.state]
    shown = loads[(page - 1) * A_PAGE : page * A_PAGE]
    states = states or states_of(shown)
    choices: dict[str, Any] = {
        "dag_ids": sorted({load.dag_id for load in visit.loads if load.dag_id}),
        "targets": sorted({load.target for load in visit.loads}, key=lambda target: target.name),
    }
    return _render(
        visit.request, "loads.html", wanted=wanted, loads=shown, states=states, page=page, total=len(loads), **choices
    )


def _load(visit: Visited, id: str, run: str = "", by: str = "") -> HTMLResponse:
    load = visit.find(id)
    report = {**_EMPTY, **(report_of(visit.place, id) or {})}
    path = rejected_path(visit.place, report)
    return _render(
        visit.request,
        "load.html",
        load=load,
        report=report,
        states=states_of([load]),
        has_rejected=path is not None,
        findings=findings_of(visit.place, {**report, "load_id": id}),
        evidence=evidence_in(report),
        vendor=vendor_page(report.get("target") or {}),
        run=run,
        by=by,
        seen=_seen(visit.place, load, report),
        actions=[name for name in NAMES if is_sensible(visit.place, load, report, name)],
        action_names=NAMES,
        shows_records=shows_records(),
    )


def _seen(place: Staging, load: Load, report: dict[str, Any]) -> str:
    """Whether what was sent is visible, in words; of a load without a report, as far as its journal tells."""
    if load.state != BEGUN:
        return visibility.sentence(report)
    found = visibility.of_load(place, load.load_id, load.mode, was_killed=True)
    told = {"state": "failed", "accepted": 0, "unsent": 0, "rejected": 0, "visibility": found, "mode": load.mode}
    return visibility.sentence(told)


def _confirm(visit: Visited, id: str, action: str) -> HTMLResponse:
    load, offer = _offer(visit, id, action)
    return _render(visit.request, "confirm.html", load=load, offer=offer, action_names=NAMES)


def _act(visit: Visited, id: str, action: str) -> RedirectResponse:
    _, offer = _offer(visit, id, action)
    if offer.obstacle:
        raise HTTPException(409, offer.obstacle)
    run_id = trigger(offer, visit.user)
    root = visit.request.scope.get("root_path", "")
    return RedirectResponse(f"{root}/load?{urlencode({'id': id, 'run': run_id, 'by': offer.dag_id})}", 303)


def _offer(visit: Visit, id: str, action: str) -> tuple[Load, Offer]:
    load = visit.find(id)
    report = report_of(visit.place, id) or {}
    if action not in NAMES or not is_sensible(visit.place, load, report, action):
        raise HTTPException(404, "That cannot be done for this load, or not any more.")
    return load, offer_of(load, action, visit.user)


_EMPTY: dict[str, Any] = {
    **{name: {} for name in ("warnings", "reasons", "plan", "formulas", "run", "requests", "owed")},
    **{name: [] for name in ("examples", "notes", "expiry_examples", "s3_keys")},
    **{
        name: ""
        for name in (
            *("state", "mode", "visibility", "next_step", "problem", "rejected_file", "proof", "batch_uuid", "task"),
            "generation",
        )
    },
    **{name: 0 for name in ("accepted", "rejected", "unsent", "expired", "not_expired", "ledger_version")},
}
"""What an older report, or a load that has only begun, does not tell."""


def _rejected(visit: Visited, id: str, q: str = "", page: Annotated[int, Query(ge=1)] = 1) -> HTMLResponse:
    load = visit.find(id)
    first, rows = (page - 1) * A_PAGE, list[RejectedRow]()
    if path := rejected_path(visit.place, report_of(visit.place, id) or {"load_id": id}):
        rows = list(islice(rejected_rows(visit.place, path, q), first, first + A_PAGE + 1))
    return _render(
        visit.request,
        "rejected.html",
        load=load,
        rows=rows[:A_PAGE],
        is_there=path is not None,
        has_more=len(rows) > A_PAGE,
        q=q,
        page=page,
        shows_records=shows_records(),
    )


def _rejected_csv(visit: Visited, id: str, q: str = "") -> StreamingResponse:
    visit.find(id)
    path = rejected_path(visit.place, report_of(visit.place, id) or {"load_id": id})
    if path is None:
        raise HTTPException(404, "The rejected rows of this load are not in staging any more, or there are none.")
    rows = rejected_rows(visit.place, path, q)
    headers = {**_HEADERS, "Content-Disposition": f'attachment; filename="rejected-{quote(id)}.csv"'}
    return StreamingResponse(_csv(rows, shows_records()), media_type="text/csv; charset=utf-8", headers=headers)


def _csv(rows: Iterator[RejectedRow], shows_records: bool) -> Iterator[str]:
    names = ("row", "reason", "status", *(["content"] if shows_records else []))
    for cells in chain([names], ([getattr(row, name) for name in names] for row in rows)):
        written = io.StringIO()
        csv.writer(written).writerow([_no_formula(cell) for cell in cells])
        yield written.getvalue()


def _no_formula(cell: str) -> str:
    """A cell that a spreadsheet takes for a text, whoever wrote it."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _target(visit: Visited, kind: str, id: str, host: str) -> HTMLResponse:
    target = Target(kind, id, host)
    loads = visit.into(target)
    there = (load for load in loads if load.has_arrived)
    newest = max(there, key=lambda load: (load.generation, load.ended), default=None)
    manifest = manifest_of(visit.place, target)
    return _render(
        visit.request,
        "target.html",
        target=target,
        loads=loads[:A_PAGE],
        states=states_of(loads[:A_PAGE]),
        newest=newest,
        known={load.load_id for load in loads},
        manifest=manifest,
        drawing=chart(loads),
        shows_records=shows_records(),
    )


def _record(visit: Visited, kind: str, id: str, host: str, key: str = "") -> HTMLResponse:
    target = Target(kind, id, host)
    loads = visit.into(target)
    if not shows_records():
        raise HTTPException(403, "Values of records are shown only with [optimove] show_records = True.")
    if not visit.reader.may_read_each(writers(visit.place, {kind: id})):
        raise HTTPException(403, "A record is shown to who may read every DAG that has ever written to its target.")
    manifest, now = manifest_of(visit.place, target), visit.place.surroundings.now()
    found = sightings(visit.place, manifest, key, now) if key and manifest else []
    return _render(
        visit.request, "record.html", target=target, key=key, found=with_loads(found, loads), manifest=manifest
    )


def _tell_http(request: Request, error: Exception) -> HTMLResponse:
    assert isinstance(error, StarletteHTTPException)  # noqa: S101 - it is registered for nothing else
    return _render(request, "message.html", status=error.status_code, message=str(error.detail))


def _tell_error(request: Request, error: Exception) -> HTMLResponse:
    """Staging that cannot be read: on another machine, without rights, or of a newer version."""
    log.warning("the Sync history cannot be shown", exc_info=error)
    told = str(error) if isinstance(error, OptimoveProviderError) else type(error).__name__
    return _render(
        request, "message.html", status=503, message=f"The staging folder cannot be read from the API server: {told}"
    )


_PAGES = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGES.filters.update(
    number=words.number,
    seconds=words.seconds,
    instant=words.instant,
    later=words.later,
    age=words.age,
    state=words.state,
)
_PAGES.globals.update(
    BEGUN=BEGUN,
    SELDOM=SELDOM,
    A_PAGE=A_PAGE,
    PARTS=PARTS,
    WIDTH=WIDTH,
    HEIGHT=HEIGHT,
    STATES=words.STATES,
    KINDS=KINDS,
    PLANNED=PLANNED,
    OWED=OWED,
    DROPPED=DROPPED,
)


def _render(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    root = str(request.scope.get("root_path", ""))
    prefix = root.removesuffix(f"/{MOUNT}")

    def url(path: str, /, **query: Any) -> str:
        given = {name: value for name, value in query.items() if value not in ("", None)}
        return f"{root}/{path}" + (f"?{urlencode(given)}" if given else "")

    body = _PAGES.get_template(template).render(url=url, airflow=f"{prefix}/", now=REAL.now(), status=status, **values)
    return HTMLResponse(body, status, _HEADERS)
