"""The one small document of a target's ledger that ever changes: its layers, who holds it, and the intents of loads.

It is replaced whole, by compare-and-swap. `version` counts what a plan must know of; renewing a lease leaves it alone.
"""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import datetime
from itertools import takewhile
from typing import Any, Literal

from optimove_provider.contract.next_steps import NextStep
from optimove_provider.contract.wire.errors import DataError, OptimoveProviderError
from optimove_provider.contract.wire.messages import json_body
from optimove_provider.loads.state import compare_and_swap
from optimove_provider.loads.state.age import Age
from optimove_provider.loads.state.staging import Staging

FORMAT = 3
"""2 keeps by what evidence rows were accepted, 3 names the suppression list and which rows are owed: who does not know
them must not write."""
_ATTEMPTS = 50
_TARGETS = uuid.uuid5(uuid.NAMESPACE_URL, "https://pypi.org/project/airflow-provider-optimove/targets")


class SwapContention(OptimoveProviderError):
    """The manifest changed again and again while it was being replaced."""

    retry_helps = True
    then = NextStep.PLANS_AGAIN


class CommitConflict(OptimoveProviderError):
    """The ledger has another version than the `expected` one: the one `found`, which others have made of it since."""

    retry_helps = True
    then = NextStep.PLANS_AGAIN

    def __init__(self, problem: str, expected: int, found: int) -> None:
        self.expected, self.found = expected, found
        super().__init__(problem)

    @classmethod
    def of(cls, plan: "PlanRef", found: int) -> "CommitConflict":
        """The error of a plan that cannot be carried out any more."""
        return cls(
            f"load {plan.load_id} was planned against version {plan.planned_against} of the ledger, which others have "
            f"brought to version {found} since. Nothing of the load is entered; a retry plans again from its frozen "
            "rows",
            plan.planned_against,
            found,
        )


class DamagedManifest(DataError):
    """The one document of a ledger is there, and cannot be read."""

    then = NextStep.MEND_STAGING


class PartlyVisible(OptimoveProviderError):
    """Part of a load is visible, and another one has written to the target before the rest could be."""


def target_id(kind: str, host: str, target: str) -> str:
    """The name of a target's folder: `kind` is optix or dcp, `target` a data connection's uuid or a table's id."""
    return f"{kind}-{uuid.uuid5(_TARGETS, json_body([kind, host, target]).decode())}"


@dataclass(frozen=True, slots=True)
class PlanRef:
    """Which plan it is: the load's, made against that version of the manifest."""

    load_id: str
    planned_against: int


@dataclass(frozen=True, slots=True)
class Origin:
    """Where all rows of a layer come from that has them as a load sent them, and what is true of each.

    It names the plan, since a load that was overtaken between its commit and its end may commit again. `evidence` and
    `unproven_since` are those of `row_files.LEDGER`.
    """

    plan: PlanRef
    age: Age
    expires: datetime | None
    evidence: str | None = None
    unproven_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """An immutable Parquet file of the ledger: its path in staging, its rows, and how its fingerprints were made.

    It has rows of a ledger, those of format 1 without their evidence; or, with an `origin`, rows of a load as they
    were sent, whose fingerprints may be wanting (algorithm ""). `distinct`: no key is in it twice, which is not so
    of what intents and invalidations left. It was entered at `committed_at`, and has no age later than that.
    """

    path: str
    rows: int
    algorithm: str
    origin: Origin | None = None
    distinct: bool = False
    committed_at: datetime | None = None
    has_evidence: bool = False


@dataclass(frozen=True, slots=True)
class SourceSnapshot:
    """A committed load that had every key of its source: its age, how many rows it had, and the share of them that has
    a value, by column."""

    age: Age
    rows: int
    filled: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Intent:
    """The write-ahead intent of a load: rows that it may send. Until it is committed or withdrawn, what the target
    holds of them is unknown.

    `folder` has their Parquet files; `state` is what they are if they arrived. The plan was made against version
    `planned_against` of the manifest, and to write the intent made version `written_as` of it. `owed` is the folder of
    owed rows that it may send too, each of its own age; "" where there are none.
    """

    folder: str
    age: Age
    state: Literal["live", "removed"]
    planned_against: int
    written_as: int
    owed: str = ""


@dataclass(frozen=True, slots=True)
class Owed:
    """The immutable file with the rows that are owed to a target: those that its server refused, and that are to be
    sent again. `loads.owed.rows` has its columns."""

    path: str
    rows: int


@dataclass(frozen=True, slots=True)
class Holder:
    """Who works on the target, and until when if it says nothing more. `token` is new with every acquisition.

    `task` is what people call it, "" where nobody said. `detached`: it is not renewed, since its load sends nothing
    more and waits for an import. One is reserved whose token follows from its load: no process has it, but whichever
    worker sends a part of that load.
    """

    load_id: str
    try_number: int
    token: str
    renewed_at: datetime
    until: datetime
    task: str = ""
    detached: bool = False

    @property
    def is_reserved(self) -> bool:
        """Whether its load holds it, and no process."""
        return self.token == reserved_token(self.load_id)


def reserved_token(load_id: str) -> str:
    """The token of a lease that is reserved for a load."""
    return str(uuid.uuid5(_TARGETS, f"reserved for {load_id}"))


@dataclass(frozen=True, slots=True)
class SuppressionList:
    """Keys that loads leave out. The immutable file `path` has digests of them, which the `salt` of this target, as
    hexadecimal digits, makes other ones than elsewhere; `keys` counts them. No path: none is on it."""

    salt: str = field(repr=False)
    path: str = ""
    keys: int = 0


@dataclass(frozen=True, slots=True)
class KeyDigest:
    """What tells the range of a key: the first bits of the SHA-256 of the seed and of the key's JSON text, in UTF-8.

    The seed is the ledger's own, so that nobody can choose keys for one range.
    """

    name: Literal["sha256"] = "sha256"
    version: Literal[1] = 1
    seed: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The document. `layers`: the oldest first, the newest wins. `newest_snapshot`: of those that were committed.

    `committed` is the last plan that was, and `committed_at` when. `intents` are those of loads by their ids. `let_go`
    says of files that were layers when they ceased to be: who reads without the lease may still need them. `key_type`
    is that of all keys of a data connection, "string" or "integer"; "" until rows may have been sent, and of a table.
    `owed` are the rows that are owed to the target, None where there are none.
    `suppressed` is the list of keys that loads leave out, None where there never was one. `key_digest` says by what
    keys are dealt into ranges: it has no seed in the manifest of an older version, nor before the first layer.
    """

    format: int = FORMAT
    version: int = 0
    layers: tuple[Layer, ...] = ()
    newest_snapshot: SourceSnapshot | None = None
    committed_at: datetime | None = None
    committed: PlanRef | None = None
    intents: Mapping[str, Intent] = field(default_factory=dict)
    let_go: Mapping[str, datetime] = field(default_factory=dict)
    holder: Holder | None = None
    key_type: str = ""
    owed: Owed | None = None
    suppressed: SuppressionList | None = None
    key_digest: KeyDigest = field(default_factory=KeyDigest)

    def is_base_of(self, plan: PlanRef) -> bool:
        """The optimistic check: whether nobody but the load itself, by its intent, changed the base of its plan."""
        own = self.intents.get(plan.load_id)
        if own and own.planned_against == plan.planned_against:
            return self.version == own.written_as
        return self.version == plan.planned_against

    def check_base_of(self, plan: PlanRef) -> None:
        """Raise CommitConflict unless this is the base of a plan."""
        if not self.is_base_of(plan):
            raise CommitConflict.of(plan, self.version)

    def has_applied(self, plan: PlanRef) -> bool:
        """Whether the last commit was of this plan, so that to commit it again would change nothing."""
        return self.committed == plan

    def changed(self, **fields: Any) -> "Manifest":
        """The next version, with these fields."""
        return replace(self, version=self.version + 1, **fields)

    def owing(self, owed: Owed | None, now: datetime) -> "Manifest":
        """The same manifest with other owed rows; the file that is let go stays for those who still read it."""
        if owed == self.owed or self.owed is None:
            return replace(self, owed=owed)
        return replace(self, owed=owed, let_go={**self.let_go, self.owed.path: now})

    @property
    def latest(self) -> datetime | None:
        """The latest instant that anybody has written here, by whichever clock; None where there is none."""
        newest = self.newest_snapshot
        ages = [*(intent.age for intent in self.intents.values()), *([newest.age] if newest else [])]
        told = [self.committed_at, *(age.opened for age in ages), *(layer.committed_at for layer in self.layers)]
        return max(filter(None, told), default=None)

    @property
    def bottom(self) -> tuple[Layer, ...]:
        """The first layers that have, all together, no key twice: all that one commit brought in, or one."""
        if not (self.layers and self.layers[0].distinct):
            return ()
        origin = self.layers[0].origin
        return tuple(takewhile(lambda layer: layer.origin == origin, self.layers)) if origin else self.layers[:1]

    @property
    def above(self) -> tuple[Layer, ...]:
        """The other layers."""
        return self.layers[len(self.bottom) :]

    @property
    def rows(self) -> int:
        """About how many keys there are: one that is in several layers counts more than once."""
        return sum(layer.rows for layer in self.layers)


class ManifestFile:
    """The manifest of one target, in staging."""

    def __init__(self, staging: Staging, target: str) -> None:
        self.staging, self.folder = staging, f"ledgers/{target}"
        self._path = f"{staging.root.rstrip('/')}/{self.folder}/manifest.json"

    def read(self) -> Manifest:
        """The manifest as it is now. Raises DataError for one of a newer format."""
        return self._parse(compare_and_swap.read(self.staging.fs, self._path))

    def change(self, edit: Callable[[Manifest], Manifest]) -> Manifest:
        """Replace the manifest by `edit` of it. `edit` may be called again, with what another made of the manifest."""
        for _ in range(_ATTEMPTS):
            seen = compare_and_swap.read(self.staging.fs, self._path)
            new = edit(self._parse(seen))
            if compare_and_swap.replace(
                self.staging.fs, self._path, json_body(_as_json(new)), seen, self.staging.modes
            ):
                return new
        raise SwapContention(
            f"{self.staging.url(self.folder)}/manifest.json was changed by others {_ATTEMPTS} times over; "
            "a retry comes through when fewer loads write at once"
        )

    def _parse(self, seen: compare_and_swap.Seen) -> Manifest:
        if seen.body is None:
            return Manifest()
        found = self._told(seen.body)
        if _format_of(found) > FORMAT:
            raise DataError(
                f"{self.staging.url(self.folder)}/manifest.json was written by a newer version of this provider "
                f"(format {found['format']}, this one knows {FORMAT}): upgrade it here"
            )
        return _from_json(found)

    def _told(self, body: bytes) -> dict[str, Any]:
        """A file that is there and says nothing is no ledger that was never begun: nothing older would be kept out."""
        try:
            found = json.loads(body)
        except ValueError:
            found = None
        if not isinstance(found, dict) or ("version" not in found and _format_of(found) <= FORMAT):
            raise DamagedManifest(
                f"{self.staging.url(self.folder)}/manifest.json is empty or cut short ({len(body)} bytes), so nobody "
                "knows what the target has: nothing is sent. Restore it; or remove it, and make the ledger again of a "
                "backup with airflow optimove ledger rebuild, or load every key"
            )
        return found


def _format_of(found: dict[str, Any]) -> int:
    return int(found.get("format", FORMAT))


def intent_folders(staging: Staging) -> set[str]:
    """The folders in staging that the intents of any target still need: never to be cleaned up."""
    if not compare_and_swap.supports_compare_and_swap(staging.fs):
        return set()
    manifests = (ManifestFile(staging, target).read() for target in staging.names("ledgers"))
    intents = [intent for manifest in manifests for intent in manifest.intents.values()]
    return {folder for intent in intents for folder in (intent.folder, intent.owed) if folder}


def _as_json(value: Any) -> Any:
    """Of a manifest, which may be renewed three times a minute: `asdict` takes five times as long."""
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value):
        return {one.name: _as_json(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, dict):
        return {name: _as_json(one) for name, one in value.items()}
    return [_as_json(one) for one in value] if isinstance(value, list | tuple) else value


def _from_json(found: dict[str, Any]) -> Manifest:
    snapshot, committed, holder = (found[name] for name in ("newest_snapshot", "committed", "holder"))
    return Manifest(
        version=found["version"],
        layers=tuple(_layer(one) for one in found["layers"]),
        newest_snapshot=snapshot and SourceSnapshot(**_aged(snapshot)),
        committed_at=_times(found, "committed_at")["committed_at"],
        committed=committed and PlanRef(**committed),
        intents={load_id: Intent(**_aged(one)) for load_id, one in found["intents"].items()},
        let_go={path: datetime.fromisoformat(at) for path, at in found["let_go"].items()},
        holder=holder and Holder(**_times(holder, "renewed_at", "until")),
        key_type=found.get("key_type", ""),
        owed=Owed(**found["owed"]) if found.get("owed") else None,
        suppressed=SuppressionList(**found["suppressed"]) if found.get("suppressed") else None,
        key_digest=KeyDigest(**found.get("key_digest", {})),
    )


def _layer(found: dict[str, Any]) -> Layer:
    return Layer(**{**_times(found, "committed_at"), "origin": found["origin"] and _origin(found["origin"])})


def _origin(found: dict[str, Any]) -> Origin:
    """Of format 1 nobody knows the evidence, and that it was accepted about when its source was opened."""
    known = {"evidence": None, "unproven_since": found["age"]["opened"], **found}
    return Origin(**{**_aged(_times(known, "expires", "unproven_since")), "plan": PlanRef(**found["plan"])})


def _aged(found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "age": Age.from_json(found["age"])}


def _times(found: dict[str, Any], *names: str) -> dict[str, Any]:
    return {**found, **{name: found[name] and datetime.fromisoformat(found[name]) for name in names}}
