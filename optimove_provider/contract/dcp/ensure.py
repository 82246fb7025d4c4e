"""Services, tables, attributes and links of DCP as somebody wants them: what exists and agrees is kept. No I/O here.

A dry run changes nothing and says what a real one would do; otherwise what disagrees is an error, and then nothing is
created. What is archived, and has a name that something live has, is as if it were not there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from optimove_provider.contract.cells.datatypes import Attribute, by_name
from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp.config import Table
from optimove_provider.contract.wire.answers import create, tell
from optimove_provider.contract.wire.errors import Disagreement, Refused
from optimove_provider.contract.wire.messages import Flow


@dataclass(frozen=True, slots=True)
class Ensured:
    """What is there now: its id, and what had to be created, changed or archived.

    After a dry run that is what would be, `disagreements` is what stands in the way, and `id` is None where nothing is
    there yet.
    """

    id: int | None
    created: tuple[str, ...] = ()
    disagreements: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    archived: tuple[str, ...] = ()


def ensure_service(name: str, dry_run: bool = False) -> Flow[Ensured]:
    """Keep the account's service, or create it. An account has at most one, so one under another name is kept too.

    Where Support has allowed several, the one called `name` is meant; without it the choice is left to a person.
    """
    services = [service for service in (yield from dcp.list_services()) if not service.archived]
    named = [service for service in services if service.name == name] or services
    if len(named) > 1:
        names = ", ".join(f"{service.name!r} ({service.id})" for service in named)
        complaint = (
            f"the account has several DCP services, and {name!r} does not name one: {names}. Give the name of one"
        )
        return _disagreeing(None, [complaint], dry_run)
    if named:
        return Ensured(named[0].id)
    made = None if dry_run else (yield from create(dcp.CREATE_SERVICE, {"name": name}))
    return Ensured(made, (name,))


def _disagreeing(
    id: int | None,
    complaints: Sequence[str],
    dry_run: bool,
    created: tuple[str, ...] = (),
    changed: tuple[str, ...] = (),
    archived: tuple[str, ...] = (),
) -> Ensured:
    if not dry_run:
        raise Disagreement("; ".join(complaints))
    return Ensured(id, created, tuple(complaints), changed, archived)


def ensure_table(
    service_id: int,
    name: str,
    keyfield_locator_type: str,
    keyfield_locator_name: str | None = None,
    description: str | None = None,
    dry_run: bool = False,
) -> Flow[Ensured]:
    """Keep the service's table of this name, or create it. A table that locates customers otherwise is an error.

    The description is set at creation and not compared: people edit it. `update_table` changes it.
    """
    dcp.check_locator(keyfield_locator_type, keyfield_locator_name)
    named = _named(name, (yield from dcp.list_tables(service_id)))
    locator = (keyfield_locator_type, keyfield_locator_name)
    if complaint := _table_complaint(named, f"table {name!r} of service {service_id}", locator):
        return _disagreeing(named[0].id, [complaint], dry_run)
    if named:
        return Ensured(named[0].id)
    wanted = {
        "name": name,
        "description": description,
        "keyfield_locator_type": keyfield_locator_type,
        "keyfield_locator_name": keyfield_locator_name,
    }
    made = None if dry_run else (yield from create(dcp.CREATE_TABLE, wanted, service_id=service_id))
    return Ensured(made, (name,))


def _named(name: str, tables: Iterable[Table]) -> list[Table]:
    """The tables of a name: the live ones, or if there is none the archived ones."""
    named = [table for table in tables if table.name == name]
    return [table for table in named if not table.archived] or named


def _table_complaint(named: Sequence[Table], what: str, wanted: tuple[str, str | None]) -> str:
    """What is wrong with the tables of one name; empty if nothing is."""
    if not named:
        return ""
    table = named[0]
    ids = ", ".join(str(table.id) for table in named)
    if table.archived:
        return f"{what} (id {ids}) is archived: restore it in the web UI, or choose another name"
    if len(named) > 1:
        return f"{what} exists {len(named)} times: ids {ids}. Rename all but one in the web UI"
    there = (table.keyfield_locator_type, table.keyfield_locator_name)
    if there == wanted:
        return ""
    return (
        f"table {table.name!r} (id {table.id}) finds its customers by {there[0]} {there[1]!r}, not by "
        f"{wanted[0]} {wanted[1]!r}: change the operator to what is there, or the table in the web UI"
    )


def update_table(
    table_id: int, name: str | None = None, description: str | None = None, dry_run: bool = False
) -> Flow[Ensured]:
    """Give a table this name and description; what is None, or is so already, stays. An empty description removes it.

    An archived table is an error, and so is a name that another table of the service has: `ensure_table` could not tell
    which of the two is meant.
    """
    table = yield from dcp.read_table(table_id)
    there = {"name": table.name, "description": table.description or ""}
    wanted = {member: value for member, value in (("name", name), ("description", description)) if value is not None}
    changes = {member: value for member, value in wanted.items() if value != there[member]}
    told = tuple(f"{member} of table {table_id}" for member in changes)
    if complaint := (yield from _update_complaint(table, changes)):
        return _disagreeing(table_id, [complaint], dry_run, changed=told)
    if changes and not dry_run:
        yield from tell(dcp.UPDATE_TABLE, changes, table_id=table_id)
    return Ensured(table_id, changed=told)


def _update_complaint(table: Table, changes: Mapping[str, str]) -> Flow[str]:
    if changes and table.archived:
        return f"table {table.id} ({table.name!r}) is archived: restore it in the web UI, or choose another table"
    if "name" not in changes:
        return ""
    if not changes["name"].strip():
        return f"table {table.id} is to have a name without a letter: give one, or leave name= out"
    others = [one for one in (yield from dcp.list_tables(table.service_id)) if one.id != table.id and not one.archived]
    taken = [one.id for one in others if one.name == changes["name"]]
    return f"table {taken[0]} has the name {changes['name']!r} already: choose another one" if taken else ""


def rename_service(service_id: int, name: str) -> Flow[Ensured]:
    """Give a service this name, the only thing that the API can change about it, unless it has it already."""
    service = yield from dcp.read_service(service_id)
    if service.name == name:
        return Ensured(service_id)
    yield from tell(dcp.UPDATE_SERVICE, {"name": name}, service_id=service_id)
    return Ensured(service_id, changed=(f"name of service {service_id}",))


def ensure_attributes(table_id: int, attributes: Iterable[Attribute], dry_run: bool = False) -> Flow[Ensured]:
    """Keep the registered attributes and register the missing ones. Nothing is registered if one disagrees.

    The API can change neither name, datatype nor format of an attribute (REST reference, dcpattributes, update), which
    recommends "archiving the existing attribute and creating a replacement": an archived one of another datatype is
    replaced. One of the same datatype disagrees, as it can be restored with its values.
    """
    wanted = list(attributes)
    registered = by_name((yield from dcp.list_every_attribute(table_id)))
    missing = [one for one in wanted if one.name not in registered or _is_replaced(registered[one.name], one)]
    names = tuple(attribute.name for attribute in missing)
    if complaints := list(_complaints([one for one in wanted if one not in missing], registered)):
        return _disagreeing(table_id, [f"table {table_id}: " + "; ".join(complaints)], dry_run, names)
    for attribute in () if dry_run else missing:
        yield from tell(dcp.CREATE_ATTRIBUTE, attribute.as_json(), table_id=table_id)
    return Ensured(table_id, names)


def _is_replaced(there: Attribute, wanted: Attribute) -> bool:
    return there.archived and there.kind != wanted.kind


def _complaints(wanted: Sequence[Attribute], registered: Mapping[str, Attribute]) -> Iterator[str]:
    for attribute in wanted:
        there = registered[attribute.name]
        if there.archived:
            yield (
                f"attribute {attribute.name!r} is archived: restore it in the web UI, as its values are kept there, or "
                "use another name"
            )
        elif there.problem:
            yield (
                f"attribute {attribute.name!r} is registered, but {there.problem}: archive it to have it replaced, or "
                "use another name"
            )
        elif there.kind != attribute.kind:
            yield (
                f"attribute {attribute.name!r} is registered as {there.kind}, not {attribute.kind}, and the API "
                f"cannot change that: use {there.kind}, or archive it (DcpArchiveAttributesOperator) to have it "
                "replaced, or register the values under a new name"
            )


def archive_attributes(
    table_id: int, kinds: Mapping[str, str | None], missing_ok: bool = False, dry_run: bool = False
) -> Flow[Ensured]:
    """Archive attributes by name; what is archived already stays so. Nobody can read or write their values then.

    `kinds` are the datatypes (with a format: "datetime epoch") that they must have to be archived, None for any: so a
    replacement of another datatype stays. A name that the table lacks is an error, and nothing is archived then, unless
    `missing_ok`: whether the API lists what is archived is not documented.
    """
    every = yield from dcp.list_every_attribute(table_id)
    live = [one for one in every if one.name in kinds and not one.archived and kinds[one.name] in (None, one.kind)]
    names = tuple(dict.fromkeys(one.name for one in live))
    wanted = [] if missing_ok else list(kinds)
    if complaints := list(_archive_complaints(table_id, wanted, every, live)):
        return _disagreeing(table_id, complaints, dry_run, archived=names)
    for attribute in () if dry_run else live:
        yield from _archive(table_id, attribute)
    return Ensured(table_id, archived=names)


def _archive_complaints(
    table_id: int, wanted: Sequence[str], every: Sequence[Attribute], live: Sequence[Attribute]
) -> Iterator[str]:
    there = {one.name for one in every}
    if unknown := [name for name in wanted if name not in there]:
        known = ", ".join(sorted(repr(name) for name in there)) or "none"
        yield (
            f"table {table_id} lists no attribute {', '.join(map(repr, unknown))}, only {known:.500}: check the names, "
            "or say missing_ok=True if they were archived before and the API does not list such ones"
        )
    if unnamed := [one.name for one in live if one.id is None]:
        names = ", ".join(map(repr, unnamed))
        yield f"table {table_id}: {names} was listed without an id: leave it out, and archive it in the web UI"


def _archive(table_id: int, attribute: Attribute) -> Flow[None]:
    """Archive one. Where it is gone, an earlier try of the request, or somebody else, has archived it."""
    try:
        yield from tell(dcp.DELETE_ATTRIBUTE, None, attribute_id=attribute.id)
    except Refused as error:
        every = yield from dcp.list_every_attribute(table_id)
        if error.status != 404 or any(one.id == attribute.id and not one.archived for one in every):
            raise


def link_project(project_id: int, service_id: int, replace: bool = False, dry_run: bool = False) -> Flow[Ensured]:
    """Link a project to a service, so that its experiments see the service's profiles.

    A project that is linked to another service disagrees, unless `replace`.
    """
    project = yield from dcp.read_project(project_id)
    linked = project.dcp_service_id
    if linked == service_id:
        return Ensured(project.id)
    link = (f"link of project {project_id} to service {service_id}",)
    if linked is not None and not replace:
        complaint = (
            f"project {project_id} ({project.name!r}) is linked to service {linked}, not to {service_id}: its "
            "audiences may use that one; pass replace=True to link it anew"
        )
        return _disagreeing(project.id, [complaint], dry_run, link)
    if not dry_run:
        yield from tell(dcp.UPDATE_PROJECT, {"dcp_service_id": service_id}, project_id=project_id)
    return Ensured(project.id, link)
