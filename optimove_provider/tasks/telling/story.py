"""What is known of a load while its task runs, for those who are told of it when it ends, well or not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from optimove_provider.clients.timeline import total
from optimove_provider.contract.outcomes import OUTCOMES
from optimove_provider.contract.wire.evidence import evidence_in

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from optimove_provider.loads.plan.window import Window
    from optimove_provider.loads.report.report import Report
    from optimove_provider.loads.state.staging import Staging


@dataclass(slots=True)
class Story:
    """A load of one try of a task. What is not known yet, or was never found out, is empty.

    `attributes` are a table's, with their datatypes. `failure` is what ended the try. `mode` is that of the
    task, in the words of a report.
    """

    load_id: str
    began: datetime
    report: "Report | None" = None
    place: "Staging | None" = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    window: "Window | None" = None
    failure: BaseException | None = None
    waits: bool = False
    mode: str = ""

    @property
    def state(self) -> str:
        """How far the load came; "waiting" for another load into the same target, "failed" if nothing says more."""
        known = self.report.state if self.report else "planned"
        if known != "planned":
            return known
        return "waiting" if self.waits else "failed" if self.failure else known

    @property
    def kind(self) -> str:
        """Which vendor's: optix or dcp; empty before that is known."""
        return next((kind for kind in ("optix", "dcp") if self.report and kind in self.report.target), "")

    @property
    def columns(self) -> Mapping[str, str]:
        """The columns of the target, as far as they are known; Opti-X has no datatypes."""
        formulas = self.report.formulas if self.report else {}
        return self.attributes or dict.fromkeys(formulas, "")

    @property
    def has_ended(self) -> bool:
        """Whether the load does nothing more in this try, and was no dry run."""
        return not self.waits and self.state != "planned"

    @property
    def generation(self) -> datetime:
        """The instant that the rows stand for; where nothing named one, when the task took them."""
        replay = self.report.replay if self.report else {}
        if replay.get("generation"):
            return datetime.fromisoformat(replay["generation"])
        return min(self.window.end, self.began) if self.window else self.began

    def requests(self, *kinds: str) -> int:
        """How many requests of the load's last try were answered in these ways, or at all or never."""
        return total(self.report.requests, *kinds) if self.report else 0

    @property
    def visibility(self) -> str:
        """Whether what the load has sent is visible: as its report says, or the journal where there is none."""
        from optimove_provider.loads.report.visibility import of_load

        if self.report and self.report.visibility and not self.waits:
            return self.report.visibility
        place = self.place or _staging()
        return str(of_load(place, self.load_id, self.report.mode if self.report else self.mode))

    def account(self) -> dict[str, Any]:
        """What became of every row, small and JSON-able, without secrets and without anything of a row."""
        return {
            "load_id": self.load_id,
            "state": self.state,
            **{name: getattr(self.report, name, 0) for name in ("rows", *OUTCOMES)},
            "evidence": self._evidence(),
            "target": dict(self.report.target) if self.report else {},
            "visibility": self.visibility,
            "next_step": self.report.next_step if self.report and self.failure else "",
            "batch_uuid": self.report.batch_uuid if self.report else "",
            "window": _span(self.window),
            "generation": self.generation.isoformat(),
            "seconds": round(self.report.seconds, 3) if self.report else 0.0,
            "requests": self.requests(),
            "throttled": self.requests("throttled"),
            "report": self._filed(),
        }

    def _evidence(self) -> str:
        """Who counted the accepted rows, in a word or two: why nobody did may name customers."""
        report = self.report
        return str((report and evidence_in({"accepted": report.accepted, "evidence": report.evidence})) or "")

    def _filed(self) -> str:
        """The URL of the report; empty while there is none, or where the try ended before it came to that."""
        if not (self.report and self.place) or self.waits or (self.failure and self.report.state == "planned"):
            return ""
        return str(self.report.result(self.place)["report"])


def run_of(context: "Context") -> dict[str, Any]:
    """A task instance, in Airflow's own words; `map_index` is -1 unless it is mapped."""
    ti = context["ti"]
    map_index = -1 if ti.map_index is None else ti.map_index
    names = {name: getattr(ti, name) for name in ("dag_id", "task_id", "run_id")}
    return {**names, "map_index": map_index, "try_number": ti.try_number}


def _staging() -> "Staging":
    from optimove_provider.tasks.staging import staging

    return staging()


def _span(window: "Window | None") -> dict[str, str] | None:
    return {"start": window.start.isoformat(), "end": window.end.isoformat()} if window else None
