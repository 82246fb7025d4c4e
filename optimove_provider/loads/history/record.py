"""One record of a target by its key: what its ledger tells of it, the newest first."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.loads.history.loads import Load, Target
from optimove_provider.loads.ledger import layers
from optimove_provider.loads.ledger.manifest import Manifest, ManifestFile, target_id
from optimove_provider.loads.spool.row_files import LEDGER
from optimove_provider.loads.state.staging import Staging

_INTEGER = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)
MEANING = {
    "live": "accepted, and there",
    "removed": "accepted, and gone from the source since; still in the target",
    "tombstone": "not there: it was made to expire, or it was rejected or deleted and never accepted",
    "unknown": "not known: it may have been sent, and nobody could tell whether it arrived",
    "expired": "accepted, and expired since",
}


@dataclass(frozen=True, slots=True)
class Sighting:
    """What the ledger has of a key at one place. `load_id` is empty where loads were compacted into one layer; `stamp`
    is what was sent with the record without being part of it, a JSON object."""

    key: str
    state: str
    generation: datetime
    opened: datetime
    expires: datetime | None
    record: str | None
    committed_at: datetime | None
    load_id: str
    stamp: str | None = None

    @property
    def meaning(self) -> str:
        """The state in words."""
        return MEANING.get(self.state, self.state)


def ledger_folder(staging: Staging, target: Target) -> str | None:
    """The folder of a target's ledger; None where there is none. Under another host it may be the same target's."""
    own, known = target_id(target.kind, target.host, target.id), set(staging.names("ledgers"))
    if own in known:
        return own
    index = f"targets/{target.kind}-{target.id}"
    names = [name.removesuffix(".json") for name in staging.names(index) if name.endswith(".json")]
    others = [
        name for name in names if name in known and not (staging.read(f"{index}/{name}.json") or {}).get("is_other")
    ]
    return others[0] if len(others) == 1 else None


def manifest_of(staging: Staging, target: Target) -> Manifest | None:
    """The manifest of a target's ledger as it is now; None where there is none."""
    found = ledger_of(staging, target)
    return found.read() if found else None


def ledger_of(staging: Staging, target: Target) -> ManifestFile | None:
    """The file of that manifest."""
    folder = ledger_folder(staging, target)
    return ManifestFile(staging, folder) if folder else None


def sightings(staging: Staging, manifest: Manifest, key: str, now: datetime) -> list[Sighting]:
    """What all layers and intents have of a key, as a person types it: as a text and as a number. The first counts.

    Reads the keys of the whole ledger, a row group at a time.
    """
    found = [
        *_of_layers(staging, manifest, as_stored(key), now),
        *_of_intents(staging, manifest, as_stored(key), now),
    ]
    return found[::-1]


def with_loads(found: Iterable[Sighting], loads: Sequence[Load]) -> list[tuple[Sighting, Load | None]]:
    """Each with the load that brought it: the one it names, or, where loads were compacted into one layer, the one that
    stood for the same instant; None where its report is gone. `loads` are those into the target."""
    by_id = {load.load_id: load for load in loads}
    by_age = {load.generation: load for load in loads if load.generation and load.has_arrived}
    return [(one, by_id.get(one.load_id) or by_age.get(one.generation.isoformat())) for one in found]


def as_stored(key: str) -> list[str]:
    """The key as JSON text: of a string, and of an integer if it looks like one."""
    texts = [json.dumps(key, ensure_ascii=False)]
    return [*texts, key] if _INTEGER.fullmatch(key) else texts


def _of_layers(staging: Staging, manifest: Manifest, keys: Sequence[str], now: datetime) -> Iterator[Sighting]:
    for layer in manifest.layers:
        load_id = layer.origin.plan.load_id if layer.origin else ""
        for row in _rows(staging, layers.of_layers([layer]), keys):
            yield _sighting(row, layer.committed_at, load_id, now)


def _of_intents(staging: Staging, manifest: Manifest, keys: Sequence[str], now: datetime) -> Iterator[Sighting]:
    for load_id in sorted(manifest.intents, key=lambda one: manifest.intents[one].written_as):
        only = Manifest(intents={load_id: manifest.intents[load_id]})
        for row in _rows(staging, layers.of_intents(staging, only), keys):
            yield _sighting(row, None, load_id, now)


def _rows(staging: Staging, sources: Sequence[layers.Source], keys: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of some files with one of the keys: found by the keys alone, then read."""
    positions = [
        position
        for batch in layers.read(staging, sources, ["key"])
        for position in batch.filter(pc.is_in(batch["key"], pa.array(keys)))["position"].to_pylist()
    ]
    if not positions:
        return
    wanted = np.zeros(sum(layers.counts(staging, sources)), dtype=bool)
    wanted[positions] = True
    for batch in layers.read(staging, sources, LEDGER.names, wanted):
        yield from batch.to_pylist()


def _sighting(row: dict[str, Any], committed_at: datetime | None, load_id: str, now: datetime) -> Sighting:
    state, expires = row["state"], row["expires"]
    if state != "tombstone" and row["fingerprint"] is None:
        state = "unknown"
    elif state != "tombstone" and expires and expires <= now:
        state = "expired"
    ages = (row["generation"], row["opened"], expires)
    return Sighting(json.loads(row["key"]), state, *ages, row["record"], committed_at, load_id, row["stamp"])
