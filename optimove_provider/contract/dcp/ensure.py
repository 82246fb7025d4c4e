"""Services, tables, attributes and links of DCP as somebody wants them: what exists and agrees is kept. No I/O here.

A dry run changes nothing and says what a real one would do; otherwise what disagrees is an error, and then nothing is
created.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.cells.registered import Registered, UnusableAttribute, one_of_each_name
from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import edits
from optimove_provider.contract.dcp.config import Table
from optimove_provider.contract.wire.answers import create, tell
from optimove_provider.contract.wire.errors import Disagreement
from optimove_provider.contract.wire.messages import Flow

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ensured:
    """What is there now: its id, what had to be created, and which members of it were updated.

    After a dry run `created` and `updated` are what would be, `disagreements` what stands in the way, and `id` is
    None where nothing is there yet.
    """

    id: int | None
    created: tuple[str, ...] = ()
    disagreements: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()


def ensure_service(name: str, dry_run: bool = False) -> Flow[Ensured]:
    """Keep the account's service, or create it. An account has at most one, so one under another name is kept too.

    Where Support has allowed several, the one called `name` is meant; without it the choice is left to a person.
    """
    odd = list[str]()
    services = [service for service in (yield from dcp.list_services(odd)) if not service.archived]
    named = [service for service in services if service.name == name] or services
    if len(named) > 1:
        names = ", ".join(f"{service.name!r} ({service.id})" for service in named)
        complaint = (
            f"the account has several DCP services, and {name!r} does not name one: {names}. Give the name of one"
        )
        return _disagreeing(None, [complaint], dry_run)
    if named:
        return Ensured(named[0].id)
    if odd:
        return _disagreeing(None, [_in_the_dark(f"service {name!r}", odd)], dry_run)
    made = None if dry_run else (yield from create(dcp.CREATE_SERVICE, {"name": name}))
    return Ensured(made, (name,))


def _in_the_dark(what: str, odd: Sequence[str]) -> str:
    """Why nothing is created: it may be there already, among what cannot be read."""
    return (
        f"{what} is not listed, but what is listed has {len(odd)} odd entries ({'; '.join(odd[:3])}), and it may be "
        "one of them: nothing is changed; look at the list in the web UI, and mend or archive those"
    )


def _disagreeing(id: int | None, complaints: Sequence[str], dry_run: bool, created: Iterable[str] = ()) -> Ensured:
    if not dry_run:
        raise Disagreement("; ".join(complaints))
    return Ensured(id, tuple(created), tuple(complaints))


def ensure_table(
    service_id: int,
    name: str,
    keyfield_locator_type: str,
    keyfield_locator_name: str | None = None,
    description: str | None = None,
    dry_run: bool = False,
    update: bool = False,
) -> Flow[Ensured]:
    """Keep the service's table of this name, or create it. A table that locates customers otherwise is an error.

    The description is set at creation and not compared, since people edit it; with `update` it is made the one that is
    given. Of the tables of one name a live one counts, whatever is archived beside it.
    """
    keyfield_locator_name = keyfield_locator_name or None  # None and "" are no name, here and at the vendor
    dcp.check_locator(keyfield_locator_type, keyfield_locator_name)
    odd = list[str]()
    named = [table for table in (yield from dcp.list_tables(service_id, odd)) if table.name == name]
    named = [table for table in named if not table.archived] or named
    what, locator = f"table {name!r} of service {service_id}", (keyfield_locator_type, keyfield_locator_name)
    if complaint := _table_complaint(named, what, locator):
        return _disagreeing(named[0].id, [complaint], dry_run)
    if named:
        return (yield from _described(named[0], description if update else None, dry_run))
    if odd:
        return _disagreeing(None, [_in_the_dark(what, odd)], dry_run)
    wanted = {
        "name": name,
        "description": description,
        "keyfield_locator_type": keyfield_locator_type,
        "keyfield_locator_name": keyfield_locator_name,
    }
    made = None if dry_run else (yield from create(dcp.CREATE_TABLE, wanted, service_id=service_id))
    return Ensured(made, (name,))


def _described(table: Table, description: str | None, dry_run: bool) -> Flow[Ensured]:
    """The table, with the description that is wanted; None wants none."""
    if description is None or description == (table.description or ""):
        return Ensured(table.id)
    if not dry_run:
        yield from edits.update_table(table.id, description=description)
    return Ensured(table.id, updated=("description",))


def _table_complaint(named: Sequence[Table], what: str, wanted: tuple[str, str | None]) -> str:
    """What is wrong with the tables of one name, either live or archived; empty if nothing is."""
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


def ensure_attributes(table_id: int, attributes: Iterable[Attribute], dry_run: bool = False) -> Flow[Ensured]:
    """Keep the registered attributes and register the missing ones. Nothing is registered if one disagrees.

    The API can change neither name, datatype nor format of an attribute (REST reference, dcpattributes, update): it is
    archived, and a replacement created. So an archived one is no obstacle; it is as if it were missing. But where the
    newest one of a name has the datatype that is wanted, somebody may have archived it for good: a warning tells so.
    """
    wanted, odd = list(attributes), list[str]()
    listed = yield from dcp.list_registered(table_id, odd)
    registered = {one.name: one for one in one_of_each_name(listed) if not one.archived}
    missing = [attribute for attribute in wanted if attribute.name not in registered]
    names = tuple(attribute.name for attribute in missing)
    complaints = list(_complaints(wanted, registered))
    if odd and missing:
        complaints.append(_in_the_dark(f"attribute {names[0]!r}", odd))
    if complaints:
        return _disagreeing(table_id, [f"table {table_id}: " + "; ".join(complaints)], dry_run, names)
    for old in _archived_alike(missing, listed):
        log.warning(_REVIVED, table_id, old.name, old.kind, old.id, "would be" if dry_run else "is")
    for attribute in () if dry_run else missing:
        yield from tell(dcp.CREATE_ATTRIBUTE, attribute.as_json(), table_id=table_id)
    return Ensured(table_id, names)


_REVIVED = (
    "table %d: attribute %r (%s, id %s) is archived, and it is wanted again with the datatype that it had: another one "
    "of that name %s created, without the old one's values. If it is to stay away, take it out of the attributes that "
    "are registered"
)


def _archived_alike(missing: Sequence[Attribute], listed: Sequence[Registered]) -> Iterator[Attribute]:
    """The archived attributes that would come back as they were. Where the newest of a name is of another datatype, its
    kind is being changed."""
    for attribute in missing:
        same = [one for one in listed if one.name == attribute.name]
        newest = max(same, key=lambda one: one.id or 0, default=None)
        if isinstance(newest, Attribute) and newest.kind == attribute.kind:
            yield newest


def _complaints(wanted: Sequence[Attribute], registered: Mapping[str, Registered]) -> Iterator[str]:
    for attribute in wanted:
        there = registered.get(attribute.name)
        if there is None:
            continue
        if isinstance(there, UnusableAttribute):
            yield there.problem
        elif (there.datatype, there.format) != (attribute.datatype, attribute.format):
            yield (
                f"attribute {attribute.name!r} is registered as {there.kind}, not {attribute.kind}, and the API "
                f"cannot change that: use {there.kind}, register the values under a new name, or archive it first "
                "(DcpArchiveAttributesOperator), so that a replacement is created"
            )


def archive_attributes(
    table_id: int, names: Mapping[str, str | None], dry_run: bool = False, again: bool = False
) -> Flow[list[int]]:
    """Archive the attributes of these names, and return their ids: of those only that were not archived already.

    A name may come with the datatype, and the format, that the attribute has: only then it is archived, so that a
    replacement of another datatype stays. Without, an unknown name is a Disagreement, and nothing is archived then.
    With it an unknown name is a warning: whether archived attributes are listed is not documented, so that it may have
    been archived long ago, or be misspelt. So it is `again`, when an earlier try may have archived some.
    """
    odd = list[str]()
    listed = yield from dcp.list_registered(table_id, odd)
    unknown = names.keys() - {one.name for one in listed}
    if untold := sorted(name for name in unknown if not (names[name] or again)):
        raise Disagreement(_unknown(table_id, untold, listed, odd))
    if unknown:
        told = _unknown(table_id, sorted(unknown), listed, odd)
        log.warning("nothing is archived for a name that is not listed, archived long ago or misspelt: %s", told)
    live = [one for one in listed if one.name in names and not one.archived and _is_of(one, names[one.name])]
    if nameless := [one.name for one in live if one.id is None]:
        raise Disagreement(
            f"table {table_id}: {nameless[0]!r} is listed without its id: look at it, and archive it, in the web UI"
        )
    ids = [one.id for one in live if one.id is not None]
    for attribute_id in () if dry_run else ids:
        yield from edits.archive_attribute(attribute_id)
    return ids


def _is_of(attribute: Registered, kind: str | None) -> bool:
    return kind is None or (isinstance(attribute, Attribute) and attribute.kind == kind)


def _unknown(table_id: int, names: Sequence[str], listed: Sequence[Registered], odd: Sequence[str]) -> str:
    if odd:
        return _in_the_dark(f"table {table_id}: attribute {names[0]!r}", odd)
    known = ", ".join(sorted({repr(one.name) for one in listed})[:_SHOWN]) or "none"
    return (
        f"table {table_id} has no attribute {', '.join(map(repr, names))}: check the names, which are case-sensitive; "
        f"it has {known}"
    )


_SHOWN = 20


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
