"""What a load did with every row, for machines, for people, and for the task's result."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.next_steps import NextStep
from optimove_provider.contract.outcomes import OUTCOMES
from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.contract.wire.evidence import Evidence
from optimove_provider.loads.report import visibility
from optimove_provider.loads.report.begun import over
from optimove_provider.loads.report.html import page
from optimove_provider.loads.report.owed import owed_counts
from optimove_provider.loads.state.staging import Staging

if TYPE_CHECKING:
    from optimove_provider.loads.plan.plan import Plan

log = logging.getLogger(__name__)

STATES = ("planned", "uploaded", "committed", "nothing_to_send", "failed")


class Unaccounted(OptimoveProviderError):
    """A load that seemed to succeed cannot say what became of every row."""

    then = NextStep.REPORT_IT


@dataclass(slots=True)
class Report:
    """The account of one load: rows = accepted + rejected + unchanged + stale + deleted + suppressed + unsent,
    always.

    `accepted` are rows that the vendor took and that are, or will be, visible; `evidence` says who counted them, or
    that nobody did, in the form of `Evidence.as_json`: a request that was answered counts its rows, but for those
    that an update may leave out. Rows of a batch that was never completed are `unsent`, and `problem` says how many
    of them had been answered with success. `suppressed` are rows that were left out, as their keys are on the
    target's suppression list. `proof` is a file that tells, key by key, what was made to expire, by a load of the
    mode "expire". `rejected_file` holds the rejected rows with their reasons, and a replay reads it; `reasons`
    counts them, `examples` are the first. `warnings` are counted by the rules that `validate` has. `notes` are
    remarks and warnings. `plan` has the plan's digest, its counts, and samples of what changes; `expired` are
    records that the source lacks and that were made to expire, `not_expired` those of them that the vendor refused:
    they are no rows of it. `deleted` are rows that are deletions, and whose key is gone: its record was made to
    expire, or was not there. `replay` has what a replay of the rejected rows needs to know of the load. `task` is
    what people call the load: DAG, task and run; `run` says the same apart, as `dag_id`, `task_id`, `run_id`,
    `map_index` and `try_number`, and is empty where no DAG is behind it. `began` and `ended` are ISO texts in UTC,
    of the last try, like `seconds`; `generation` is the instant that the rows stand for. `batch_uuid` is the one
    under which Opti-X knows its rows, `service_id` the service of a table of DCP, `ledger_version` what the commit
    made of the ledger. `requests` are those of the last try over time, and of all tries of shards, as `Timeline`
    counts them. `stamp` has the fields that were sent with each record without being part of it. `visibility` is
    one of `Visibility`: of a load that failed, too. `next_step` is what a person does after a failure, `tries_left`
    how many tries Airflow has left, None where no task is behind it. `owed` counts rows that are owed to the
    target, of earlier loads too, which are none of the source's: those that went again (`sent`, and of them
    `accepted` and `rejected_again`), those that are `dropped`, by why in `dropped_because`, those `added` since
    this load's were refused, and those `left`. It is empty where none are.
    """

    load_id: str
    target: Mapping[str, Any]
    state: str = "planned"
    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    unchanged: int = 0
    stale: int = 0
    deleted: int = 0
    seconds: float = 0.0
    problem: str = ""
    rejected_file: str = ""
    warnings: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    plan: dict[str, Any] = field(default_factory=dict)
    expired: int = 0
    not_expired: int = 0
    expiry_examples: list[str] = field(default_factory=list)
    formulas: dict[str, str] = field(default_factory=dict)
    replay: dict[str, Any] = field(default_factory=dict)
    s3_keys: tuple[str, ...] = field(default=())
    task: str = ""
    evidence: dict[str, Any] = field(default_factory=Evidence().as_json)
    batch_uuid: str = ""
    service_id: int = 0
    run: Mapping[str, Any] = field(default_factory=dict)
    mode: str = ""
    began: str = ""
    ended: str = ""
    generation: str = ""
    ledger_version: int = 0
    requests: dict[str, Any] = field(default_factory=dict)
    stamp: dict[str, Any] = field(default_factory=dict)
    visibility: str = ""
    next_step: str = ""
    tries_left: int | None = None
    owed: dict[str, Any] = field(default_factory=dict)
    suppressed: int = 0
    proof: str = ""

    @property
    def unsent(self) -> int:
        """Rows of which none of the other numbers speaks."""
        told = (self.accepted, self.rejected, self.unchanged, self.stale, self.deleted, self.suppressed)
        return self.rows - sum(told)

    @property
    def sentence(self) -> str:
        """The account in words, for the log."""
        counts = ", ".join(f"{getattr(self, name)} {name}" for name in OUTCOMES if getattr(self, name))
        lacked = how_many(self.expired, "record that the source lacks was", "records that the source lacks were")
        expired = f"; {lacked} made to expire" if self.expired and not self.deleted else ""
        rejected = f"; the rejected rows, with reasons: {self.rejected_file}" if self.rejected_file else ""
        proof = f"; key by key: {self.proof}" if self.proof else ""
        evidence = f" ({self._evidence.sentence})" if self.accepted and self._evidence.sentence else ""
        rows = "before its rows were counted" if self._is_uncounted else how_many(self.rows, "row")
        said = f"load {self.load_id}: {self.state}, {rows}" + (f": {counts}" if counts else "")
        seen = f". {self.visibility_sentence}" if self.visibility_sentence else ""
        return said + evidence + expired + rejected + proof + self._owed_sentence + seen

    @property
    def _owed_sentence(self) -> str:
        counts = ", ".join(f"{rows} {words}" for words, rows in owed_counts(self.owed))
        return f"; of the rows owed to the target: {counts}" if counts else ""

    @property
    def _is_uncounted(self) -> bool:
        return self.state == "failed" and not self.rows

    @property
    def visibility_sentence(self) -> str:
        """Whether what was sent is visible, in words."""
        return visibility.sentence(self.as_json())

    @property
    def _evidence(self) -> Evidence:
        return Evidence.from_json(self.evidence)

    def tell_evidence(self, evidence: Evidence) -> None:
        """Take over what shows that the accepted rows are stored."""
        self.evidence = evidence.as_json()

    def note(self, text: str) -> None:
        """Add a remark, once, and say it in the log."""
        if text not in self.notes:
            self.notes.append(text)
            log.warning("load %s: %s", self.load_id, text)

    def tell_warnings(self, warnings: Mapping[str, int], note: str) -> None:
        """Take over what is odd about rows that travel all the same; `note` says it in words, unless it is empty."""
        self.warnings = dict(warnings)
        if note:
            self.note(note)

    @property
    def _off(self) -> str:
        way = "more" if self.unsent < 0 else "fewer"
        return how_many(abs(self.unsent), f"row {way} is", f"rows {way} are")

    def refuse_unaccounted(self) -> None:
        """Raise Unaccounted if the load has succeeded and not every row is accounted for."""
        if self.state in ("committed", "nothing_to_send") and self.unsent:
            raise Unaccounted(
                f"{self.sentence}. {self._off} accounted for "
                "than there were, which is a fault of this provider: please report it. To be safe, load once more "
                'with mode="full"'
            )

    def tell_plan(self, plan: "Plan") -> None:
        """Take over what a plan found."""
        self.unchanged, self.stale = plan.counts["unchanged"], plan.counts["stale"]
        self.suppressed = plan.counts.get("suppressed", 0)  # a plan of an older version knows none
        self.plan = {
            "digest": plan.digest,
            **plan.counts,
            "samples": list(plan.examples),
            "fenced": plan.below_watermark,
        }
        if plan.owed:
            self.plan |= {"owed_to_send": plan.owed.rows, "owed_to_drop": sum(plan.owed.dropped.values())}
        for warning in plan.warnings:
            self.note(warning)

    def tell_owed(self, plan: "Plan", refused: int, refused_again: int) -> None:
        """Take over what the commit of a plan made of the rows that are owed. The server refused so many of the load's
        own rows, and so many of those that were owed before."""
        if plan.owed is None:
            return
        added = refused if plan.load.owed.adds else 0
        self.owed = {
            "sent": plan.owed.rows,
            "accepted": plan.owed.rows - refused_again,
            "rejected_again": refused_again,
            "dropped": sum(plan.owed.dropped.values()),
            "dropped_because": dict(plan.owed.dropped),
            "added": added,
            "left": plan.owed.stay + refused_again + added,
        }

    @property
    def plan_sentence(self) -> str:
        """What is planned, in words."""
        counts = ", ".join(f"{self.plan[name]} {name}" for name in PLANNED if self.plan.get(name))
        if owed := self.plan.get("owed_to_send"):
            counts = f"{counts or 'nothing'}, and {how_many(owed, 'owed row', 'owed rows')} besides"
        stale = "; a newer snapshot is committed, so that nothing of this load is sent" if self.plan["fenced"] else ""
        return (counts or "nothing") + stale

    def as_json(self) -> dict[str, Any]:
        """The whole report."""
        return {**asdict(self), "s3_keys": list(self.s3_keys), "unsent": self.unsent}

    def restore(self, content: Mapping[str, Any]) -> None:
        """Take over the story that `as_json` told."""
        for one in fields(self):
            if one.name in content:  # an older version told less
                setattr(self, one.name, content[one.name])

    def file(self, staging: Staging) -> dict[str, Any]:
        """Write the report to staging, as JSON and as a page for people; returns the task's result."""
        content = self.as_json()
        staging.write_text(f"reports/{self.load_id}.html", page(content))
        staging.write(self._path, content)
        over(staging, self.load_id)
        return self.result(staging)

    def result(self, staging: Staging) -> dict[str, Any]:
        """The task's result: small and JSON-able, with the URL of the filed report."""
        counts = {name: getattr(self, name) for name in ("load_id", "state", "rows", *OUTCOMES, "visibility")}
        result = counts | {"report": staging.url(self._path)}
        if self.accepted:
            result["evidence"] = self.evidence
        if self.owed:
            result["owed"] = self.owed
        if self.state == "planned" and self.plan:
            result |= {"plan": self.plan["digest"], **{name: self.plan.get(name, 0) for name in PLANNED}}
            result |= {name: self.plan[name] for name in ("owed_to_send", "owed_to_drop") if name in self.plan}
        return result

    @property
    def _path(self) -> str:
        return f"reports/{self.load_id}.json"


_OF_ROWS = ("new", "changed", "unknown", "expiring", "reverified", "unchanged", "removed", "absent", "stale")
PLANNED = (*_OF_ROWS, "suppressed")
