"""The loads that staging knows: those that have a report, and those that have begun and told nothing since."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optimove_provider.contract.outcomes import OUTCOMES
from optimove_provider.loads.report.begun import FOLDER
from optimove_provider.loads.report.visibility import EXPIRE
from optimove_provider.loads.state.staging import Staging

MOST = 20_000
"""Loads that are remembered, about 2 kB each; of more, those that were written first are left out."""
_TOGETHER = 64
"""Reports in memory at once while they are read; most are a few kB."""
_SAME_INSTANT = 2.0
"""Seconds in which a folder may change without looking younger, on the coarsest of file systems."""
FINDINGS_ENDING = "-findings.json"
"""Of files beside the reports, which tell of rows and may be long."""
BEGUN = "begun"
"""The state of a load that has no report: it is running, it waits, or its process was killed."""


@dataclass(frozen=True, slots=True)
class Target:
    """A data connection of Opti-X, or a table of DCP."""

    kind: str
    id: str
    host: str

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "Target":
        """Read what reports call a target."""
        kind = next((kind for kind in ("optix", "dcp") if kind in told), "")
        return cls(kind, str(told.get(kind, "")), str(told.get("host", "")))

    @property
    def name(self) -> str:
        """As an address has it: optix:<uuid> or dcp:<table id>."""
        return f"{self.kind}:{self.id}"


@dataclass(frozen=True, slots=True)
class Load:
    """One load, without what only its own page shows. Times are ISO texts in UTC, empty where they are not known.

    `dag_id` is empty for a load that is no DAG's, or whose report does not tell.
    """

    load_id: str
    state: str
    target: Target
    mode: str
    began: str
    ended: str
    generation: str
    seconds: float
    rows: int
    counts: Mapping[str, int]
    dag_id: str
    task_id: str
    run_id: str
    map_index: int
    problem: str

    @property
    def rows_per_second(self) -> float | None:
        """How fast the last try was; None if that would mean nothing."""
        return self.rows / self.seconds if self.rows and self.seconds > 0 else None

    @property
    def newest(self) -> str:
        """By what loads are put in order: the last that is known of when."""
        return self.began or self.ended

    @property
    def has_arrived(self) -> bool:
        """Whether the target has what it brought, or had it already; one that makes records expire brings nothing."""
        return self.mode != EXPIRE and self._has_succeeded

    @property
    def _has_succeeded(self) -> bool:
        return self.state == "committed" or (self.state == "nothing_to_send" and self.counts["unchanged"] > 0)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "Load":
        """Read a report, of an older version too, or what is told of a load that has begun."""
        run = told.get("run") or {}
        return cls(
            load_id=str(told["load_id"]),
            state=str(told.get("state", BEGUN)),
            target=Target.of(told.get("target") or {}),
            mode=str(told.get("mode", "")),
            began=str(told.get("began", "")),
            ended=str(told.get("ended", "")),
            generation=str(told.get("generation", "") or (told.get("replay") or {}).get("generation", "")),
            seconds=float(told.get("seconds", 0)),
            rows=int(told.get("rows", 0)),
            counts={name: int(told.get(name, 0)) for name in OUTCOMES},
            dag_id=str(run.get("dag_id", "")),
            task_id=str(run.get("task_id", "")),
            run_id=str(run.get("run_id", "")),
            map_index=int(run.get("map_index", -1)),
            problem=str(told.get("problem", ""))[:300],
        )


class LoadIndex:
    """The loads of one staging folder. A report is read once, and again only when it was written again; a local folder
    is listed only when something in it was.

    Threads may share it.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most, self._lock = most, threading.Lock()
        self._known: dict[str, dict[str, tuple[str, Load | None]]] = {FOLDER: {}, "reports": {}}
        self._listed: dict[str, float] = {}

    def loads(self, staging: Staging) -> list[Load]:
        """All of them, the newest first."""
        with self._lock:
            begun, reports = (self._read(staging, folder) for folder in (FOLDER, "reports"))
        by_id = {load.load_id: load for load in reports}
        for load in begun:
            told = by_id.get(load.load_id)
            if told is None or load.began > told.ended:
                by_id[load.load_id] = load  # a retry is under way
        return sorted(by_id.values(), key=lambda load: load.newest, reverse=True)

    def _read(self, staging: Staging, folder: str) -> list[Load]:
        changed = staging.changed_at(folder)
        if changed is None or self._listed.get(folder) != changed:
            self._list(staging, folder)
            is_settled = changed is not None and staging.surroundings.now().timestamp() - changed > _SAME_INSTANT
            self._listed = {**self._listed, folder: changed if is_settled and changed is not None else -1.0}
        return [load for _, load in self._known[folder].values() if load]

    def _list(self, staging: Staging, folder: str) -> None:
        listed, known = staging.files(folder, ".json"), self._known[folder]
        files = {name: changed for name, changed in listed.items() if not name.endswith(FINDINGS_ENDING)}
        names = sorted(files, key=lambda name: files[name], reverse=True)[: self._most]
        unknown = [name for name in names if known.get(name, ("",))[0] != files[name]]
        for first in range(0, len(unknown), _TOGETHER):
            paths = {f"{folder}/{name}": name for name in unknown[first : first + _TOGETHER]}
            told = staging.read_together(list(paths))
            known |= {name: (files[name], _load_of(told.get(path))) for path, name in paths.items()}
        self._known[folder] = {name: known[name] for name in names}


def _load_of(told: Mapping[str, Any] | None) -> Load | None:
    """The load, or None for a file that is no report: whoever put it there, the others are shown."""
    try:
        return Load.of(told) if told else None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def report_of(staging: Staging, load_id: str) -> dict[str, Any] | None:
    """All that is told of a load: its report; else what was written as it began; None where nothing is known."""
    found = [staging.read_whole(f"{folder}/{load_id}.json") for folder in ("reports", FOLDER)]
    return next((one for one in found if one), None)
