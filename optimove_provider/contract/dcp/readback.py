"""Whether an uploaded file was imported, seen by reading profiles back: documented API only. No I/O here.

The vendor documents no endpoint for its Upload History. So a few of the file's rows are remembered before the upload,
with the values that their profiles have at that time, and the profiles are read until they carry the file's values.
Values are kept as digests: they travel through Airflow's database, which is no place for customers' data.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.cells.values import comparable
from optimove_provider.contract.dcp.profiles import read_profile
from optimove_provider.contract.dcp.upload_history import UNREADABLE, HistoryEntry, ImportState, Outcome, common_state
from optimove_provider.contract.wire.messages import Flow

READ_BACK, UNCHANGED_BEFORE, OVERWRITTEN, NO_VALUES = "read_back", "unchanged_before", "overwritten", "no_values"
"""What shows that a file is imported: profiles changed to its values; they had them before; they changed to others;
the sampled rows have no values to look for. `UNREADABLE` is the fifth."""

_SHOW_NOTHING = (UNCHANGED_BEFORE, OVERWRITTEN, NO_VALUES, UNREADABLE)
"""Others may have written before the file was imported, or although it never was."""

MAX_ATTRIBUTES = 20
"""Compared in each profile: one would do, if it changes."""

_SHOWN = 3

Data = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sampled:
    """One row: digests of the values in the file, and of those in the profile before it was uploaded."""

    customer_id: str
    wanted: Mapping[str, str]
    before: Mapping[str, str]

    def state(self, now: Mapping[str, str]) -> str:
        """What the profile has now: "same" as before and as wanted, "old", "new", or "other" values."""
        if self.wanted == self.before:
            return "same"
        missing = {name for name, digest in self.wanted.items() if now[name] != digest}
        if not missing:
            return "new"
        return "old" if any(now[name] == self.before[name] for name in missing) else "other"


@dataclass(frozen=True, slots=True)
class Sample:
    """A few rows of one file. `attributes` are those that are compared. `unreadable`: why profiles that might have been
    among them could not be read before the upload."""

    s3_key: str
    service_id: int
    table_id: int
    attributes: tuple[Attribute, ...]
    customers: tuple[Sampled, ...] = field(default=(), repr=False)
    unreadable: str = ""

    def as_json(self) -> dict[str, Any]:
        """The sample as staging and a trigger's arguments carry it."""
        return {
            "s3_key": self.s3_key,
            "service_id": self.service_id,
            "table_id": self.table_id,
            "attributes": [attribute.as_json() for attribute in self.attributes],
            "unreadable": self.unreadable,
            "customers": [
                {"customer_id": one.customer_id, "wanted": dict(one.wanted), "before": dict(one.before)}
                for one in self.customers
            ],
        }

    @classmethod
    def from_json(cls, sample: Mapping[str, Any]) -> "Sample":
        """Read what `as_json` wrote."""
        return cls(
            sample["s3_key"],
            int(sample["service_id"]),
            int(sample["table_id"]),
            tuple(map(Attribute.from_json, sample["attributes"])),
            tuple(Sampled(one["customer_id"], one["wanted"], one["before"]) for one in sample["customers"]),
            sample.get("unreadable", ""),
        )

    def digests(self, data: Data, names: Iterable[str]) -> dict[str, str]:
        """Attribute name -> digest of its value, in one form for cells and for JSON."""
        attributes = {attribute.name: attribute for attribute in self.attributes}
        return {name: self._digest(attributes[name], data.get(name)) for name in names}

    def _digest(self, attribute: Attribute, value: Any) -> str:
        text = comparable(attribute, value)
        return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8, key=self._salt).hexdigest()

    @property
    def _salt(self) -> bytes:
        return hashlib.blake2b(self.s3_key.encode(), digest_size=16).digest()


def sampled(sample: Sample, customer_id: str, row: Mapping[str, str], profile: Data | None) -> Sampled:
    """A row of the file beside its profile as it is before the upload. Empty cells are left out: they write nothing."""
    names = [attribute.name for attribute in sample.attributes if row.get(attribute.name)][:MAX_ATTRIBUTES]
    return Sampled(customer_id, sample.digests(row, names), sample.digests(profile or {}, names))


def compare(sample: Sample, profiles: Mapping[str, Data | None]) -> HistoryEntry:
    """What the profiles, by customer id, say about the file, in the form of a history entry.

    It waits for profiles that have a value from before the upload. One that has neither the old nor the file's values
    was written by somebody else since, and is not waited for.
    """
    if sample.unreadable and not sample.customers:
        return _unreadable(sample.s3_key, sample.unreadable)
    states: dict[str, list[str]] = {"same": [], "old": [], "new": [], "other": []}
    for one in sample.customers:
        profile = profiles.get(one.customer_id) or {}
        states[one.state(sample.digests(profile, one.wanted))].append(one.customer_id)
    evidence = "" if states["old"] else _evidence(states)
    status = "processing" if states["old"] else "completed"
    told = _told(sample, states)
    return HistoryEntry(sample.s3_key, status, message=told, evidence=evidence, read_back=len(states["new"]))


def unreadable(s3_keys: Iterable[str], why: object) -> Outcome:
    """What is said of files whose profiles cannot be read: nothing shows what becomes of them."""
    return common_state(_unreadable(s3_key, str(why)) for s3_key in s3_keys)


def _unreadable(s3_key: str, why: str) -> HistoryEntry:
    return HistoryEntry(s3_key, "unseen", message=f"profiles cannot be read: {why}", evidence=UNREADABLE)


def is_unreadable(outcome: Outcome) -> bool:
    """Whether nothing can be seen of some file."""
    return any(entry.evidence == UNREADABLE for entry in outcome.entries)


def has_begun(outcome: Outcome) -> bool:
    """Whether some profile of each file shows that its import is under way, or over."""
    return not outcome.absent and all(
        entry.state is ImportState.DONE or (entry.state is ImportState.WAIT and entry.read_back)
        for entry in outcome.entries
    )


def is_shown(outcome: Outcome) -> bool:
    """Whether anything shows what became of the files that are told of: no profile of a sample need have changed."""
    return all(entry.evidence not in _SHOW_NOTHING for entry in outcome.entries)


def _evidence(states: Mapping[str, Sequence[str]]) -> str:
    if states["new"]:
        return READ_BACK
    if states["other"]:
        return OVERWRITTEN
    return UNCHANGED_BEFORE if states["same"] else NO_VALUES


_WORDS = {
    "new": "carry the file's values",
    "same": "had the file's values before the upload",
    "old": "still have a value from before the upload",
    "other": "were overwritten by others since",
}


def _told(sample: Sample, states: Mapping[str, Sequence[str]]) -> str:
    parts = [
        f"{len(states[name])} {words}{_named(name, states[name])}" for name, words in _WORDS.items() if states[name]
    ]
    return f"of {len(sample.customers)} sampled profiles, " + ("; ".join(parts) or "none has a value to compare")


def _named(state: str, customer_ids: Sequence[str]) -> str:
    if state not in ("old", "other"):
        return ""
    more = ", ..." if len(customer_ids) > _SHOWN else ""
    return f" ({', '.join(f'{one!r:.100}' for one in customer_ids[:_SHOWN])}{more})"


def read_back(samples: Sequence[Sample]) -> Flow[Outcome]:
    """What reading the sampled profiles of these files back says now."""
    entries = []
    for sample in samples:
        profiles = {}
        for one in sample.customers:
            if one.wanted != one.before:
                profiles[one.customer_id] = yield from read_profile(sample.service_id, sample.table_id, one.customer_id)
        entries.append(compare(sample, profiles))
    return common_state(entries)
