"""The one small document of a target's ledger that ever changes: which files count, who works, what is pending.

It is replaced whole, by compare-and-swap. `version` counts what a plan must know of; renewing a lease leaves it alone.
"""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from itertools import takewhile
from typing import Any, Literal

from optimove_provider.contract.wire.errors import DataError, OptimoveProviderError
from optimove_provider.contract.wire.messages import json_body
from optimove_provider.loads.state import compare_and_swap
from optimove_provider.loads.state.staging import Staging

FORMAT = 1
_ATTEMPTS = 50
_TARGETS = uuid.uuid5(uuid.NAMESPACE_URL, "https://pypi.org/project/airflow-provider-optimove/targets")


class SwapContention(OptimoveProviderError):
    """The manifest changed again and again while it was being replaced."""

    retry_helps = True


class CommitConflict(OptimoveProviderError):
    """The ledger is no longer the one that the plan was made against."""

    retry_helps = True


class PartlyVisible(OptimoveProviderError):
    """Part of a load is visible, and another one has written to the target before the rest could be."""


def target_id(kind: str, host: str, target: str) -> str:
    """The name of a target's folder: `kind` is optix or dcp, `target` a data connection's uuid or a table's id."""
    return f"{kind}-{uuid.uuid5(_TARGETS, json_body([kind, host, target]).decode())}"


@dataclass(frozen=True, slots=True)
class Sent:
    """What is true of all rows of a layer that has them as a load sent them. `version` is the manifest's, at that time.

    A load that was overtaken between its commit and its end may commit again, under another version.
    """

    load_id: str
    generation: datetime
    expires: datetime | None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Layer:
    """An immutable Parquet file of the ledger: its path in staging, its rows, and how its fingerprints were made.

    It has rows of a ledger; or rows of a load, `sent` as they are, whose fingerprints may be wanting (algorithm "").
    `distinct`: no key is in it twice, which is not so of what pending loads and other ways of writing left.
    """

    path: str
    rows: int
    algorithm: str
    sent: Sent | None = None
    distinct: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The newest committed snapshot: when it was, its rows, and the share of them that has a value, by column."""

    generation: datetime
    rows: int
    filled: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Pending:
    """Rows that a load may have sent and has not committed: what the target holds of them is unknown.

    `folder` has their Parquet files; `state` is what they are if they arrived. The plan was made against version
    `planned`, and this mark made version `version` of it.
    """

    folder: str
    generation: datetime
    state: Literal["live", "removed"]
    planned: int
    version: int


@dataclass(frozen=True, slots=True)
class Holder:
    """Who works on the target, and until when if it says nothing more. `token` is new with every acquisition.

    `task` is what people call it, "" where nobody said. `detached`: it is not renewed, since its load sends nothing
    more and waits for an import.
    """

    load_id: str
    try_number: int
    token: str
    renewed_at: datetime
    until: datetime
    task: str = ""
    detached: bool = False


@dataclass(frozen=True, slots=True)
class Manifest:
    """The document. `layers`: the oldest first, the newest wins. `committed_*`: the last load that was, and the version
    that its plan was made against."""

    format: int = FORMAT
    version: int = 0
    layers: tuple[Layer, ...] = ()
    snapshot: Snapshot | None = None
    committed_at: datetime | None = None
    committed_by: str = ""
    committed_plan: int = 0
    pending: Mapping[str, Pending] = field(default_factory=dict)
    holder: Holder | None = None

    def is_base_of(self, load_id: str, planned: int) -> bool:
        """Whether nobody but the load itself, by marking itself pending, changed what its plan was made against."""
        mark = self.pending.get(load_id)
        return self.version == (mark.version if mark and mark.planned == planned else planned)

    def has_applied(self, load_id: str, planned: int) -> bool:
        """Whether the last commit was of this plan of this load."""
        return (self.committed_by, self.committed_plan) == (load_id, planned)

    def changed(self, **fields: Any) -> "Manifest":
        """The next version, with these fields."""
        return replace(self, version=self.version + 1, **fields)

    @property
    def base(self) -> int:
        """How many of the first layers have, all together, no key twice: all that one commit brought in, or one."""
        if not (self.layers and self.layers[0].distinct):
            return 0
        first = self.layers[0].sent
        return sum(1 for _ in takewhile(lambda layer: layer.sent == first, self.layers)) if first else 1

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
            if compare_and_swap.replace(self.staging.fs, self._path, json_body(_as_json(new)), seen):
                return new
        raise SwapContention(
            f"{self.staging.url(self.folder)}/manifest.json was changed by others {_ATTEMPTS} times over"
        )

    def _parse(self, seen: compare_and_swap.Seen) -> Manifest:
        found = json.loads(seen.body) if seen.body else {}
        if found.get("format", FORMAT) > FORMAT:
            raise DataError(
                f"{self.staging.url(self.folder)}/manifest.json was written by a newer version of this provider "
                f"(format {found['format']}, this one knows {FORMAT}): upgrade it here"
            )
        return _from_json(found) if found else Manifest()


def pending_folders(staging: Staging) -> set[str]:
    """The folders in staging that pending loads of any target still need: never to be cleaned up."""
    if not compare_and_swap.supports_compare_and_swap(staging.fs):
        return set()
    manifests = (ManifestFile(staging, target).read() for target in staging.names("ledgers"))
    return {pending.folder for manifest in manifests for pending in manifest.pending.values()}


def _as_json(manifest: Manifest) -> Any:
    return _texts(asdict(manifest))


def _texts(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _texts(one) for name, one in value.items()}
    return [_texts(one) for one in value] if isinstance(value, list | tuple) else value


def _from_json(found: dict[str, Any]) -> Manifest:
    pending = {load_id: Pending(**_times(one, "generation")) for load_id, one in found["pending"].items()}
    return Manifest(
        format=found["format"],
        version=found["version"],
        layers=tuple(_layer(one) for one in found["layers"]),
        snapshot=Snapshot(**_times(found["snapshot"], "generation")) if found["snapshot"] else None,
        committed_at=_times(found, "committed_at")["committed_at"],
        committed_by=found["committed_by"],
        committed_plan=found.get("committed_plan", 0),
        pending=pending,
        holder=Holder(**_times(found["holder"], "renewed_at", "until")) if found["holder"] else None,
    )


def _layer(found: dict[str, Any]) -> Layer:
    sent = found["sent"]
    return Layer(**{**found, "sent": sent and Sent(**_times(sent, "generation", "expires"))})


def _times(found: dict[str, Any], *names: str) -> dict[str, Any]:
    return {**found, **{name: found[name] and datetime.fromisoformat(found[name]) for name in names}}
