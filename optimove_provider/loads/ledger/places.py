"""Which folder the ledger of a target is in: one for each target, however it is named, and never one for two.

`targets/<kind>-<id>/<folder>.json` says under which host an id has a ledger. The same id under another host may be the
same target, such as a server under its name and its address, or another one; only the user knows.
"""

from collections.abc import Mapping
from typing import Any

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.contract.wire.targets import connection_uuid, host_url, table_id
from optimove_provider.loads.ledger.manifest import target_id
from optimove_provider.loads.state.staging import Staging

_IDS = {"optix": connection_uuid, "dcp": table_id}


def folder_of(staging: Staging, kind: str, host: str, target: str, alias: str = "") -> str:
    """The folder's name. `alias`, the connection's `target_alias`, says of an id that has a ledger under another host
    that it is the "same" target, or an "other" one.

    Raises SettingsError for what names no target, and, naming both hosts, where `alias` would have to say.
    """
    host, target = host_url(host), _IDS[kind](target)
    index, own = f"targets/{kind}-{target}", target_id(kind, host, target)
    others = _others(staging, index, own)
    if alias == "same" and others:
        return _only_one(staging, kind, host, target, own, others)
    if others and alias != "other" and not _is_other(staging, index, own):
        raise SettingsError(
            f"{_named(kind, target)} has a ledger for {' and '.join(sorted(others.values()))}, and is now addressed at "
            f'{host}. Say in the connection\'s extra whether that is the same target: target_alias "same" goes on with '
            'that ledger, "other" begins one'
        )
    if not staging.read(f"{index}/{own}.json"):
        staging.write(f"{index}/{own}.json", {"host": host, "is_other": bool(others)})
    return own


def ledgers_of(staging: Staging, target: str) -> tuple[str, Mapping[str, str]]:
    """How a target is called, a data connection's uuid or a table's id; and its ledgers, the folder and the host of
    each. Raises SettingsError for what names no target."""
    kind = _kind(target)
    target = _IDS[kind](target)
    index = _index(target)
    folders = [name.removesuffix(".json") for name in staging.names(index)]
    hosts = {folder: str(_told(staging, index, folder).get("host", "")) for folder in folders}
    return _named(kind, target), {folder: host for folder, host in hosts.items() if _has_ledger(staging, folder)}


def targets_of(staging: Staging) -> list[str]:
    """All targets that have, or had, a ledger: uuids of data connections and ids of tables."""
    return sorted(name.partition("-")[2] for name in staging.names("targets") if name.startswith(("optix-", "dcp-")))


def enlist(staging: Staging, target: str, folder: str, host: str, is_other: bool = False) -> None:
    """A target has its ledger in this folder, under that host; `is_other`: it is another one than those of that id."""
    staging.write(f"{_index(target)}/{folder}.json", {"host": host, "is_other": is_other})


def is_other(staging: Staging, target: str, folder: str) -> bool:
    """Whether the user has said that the target of this ledger is another one than those of the same id."""
    return _is_other(staging, _index(target), folder)


def folder_under(target: str, host: str) -> str:
    """The folder of a target's ledger, as the host alone names it. Raises SettingsError for what names none."""
    kind = _kind(target)
    return target_id(kind, host_url(host), _IDS[kind](target))


def _kind(target: str) -> str:
    return "dcp" if target.strip().isdecimal() else "optix"


def _index(target: str) -> str:
    return f"targets/{_kind(target)}-{_IDS[_kind(target)](target)}"


def unlist(staging: Staging, target: str, folder: str) -> None:
    """A target has no ledger in this folder any more."""
    staging.remove_folder(f"{_index(target)}/{folder}.json")


def _others(staging: Staging, index: str, own: str) -> Mapping[str, str]:
    """The folders of other hosts' ledgers of the same id, with the hosts; not of those that the user told apart."""
    found = {}
    for name in staging.names(index):
        folder = name.removesuffix(".json")
        told = _told(staging, index, folder) if name.endswith(".json") and folder != own else {}
        if told and not told["is_other"] and _has_ledger(staging, folder):
            found[folder] = str(told["host"])
    return found


def _only_one(staging: Staging, kind: str, host: str, target: str, own: str, others: Mapping[str, str]) -> str:
    is_listed = bool(_told(staging, f"targets/{kind}-{target}", own))
    if len(others) > 1 or (is_listed and _has_ledger(staging, own)):
        raise SettingsError(
            f'target_alias "same": {_named(kind, target)} has ledgers of its own for '
            f"{' and '.join(sorted({host, *others.values()}))}, and loads go on with one: remove the "
            f"other with airflow optimove ledger forget --host HOST {target}"
        )
    return next(iter(others))


def _is_other(staging: Staging, index: str, folder: str) -> bool:
    return bool(_told(staging, index, folder).get("is_other"))


def _told(staging: Staging, index: str, folder: str) -> dict[str, Any]:
    return staging.read(f"{index}/{folder}.json") or {}


def _has_ledger(staging: Staging, folder: str) -> bool:
    return "manifest.json" in staging.names(f"ledgers/{folder}")


def _named(kind: str, target: str) -> str:
    return f"data connection {target}" if kind == "optix" else f"table {target}"
