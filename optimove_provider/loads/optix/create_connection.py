"""Creating a data connection once, although Opti-X neither lists connections nor says that creating is idempotent."""

import logging
import uuid
from typing import Any

from optimove_provider.clients.optix import OptixClient
from optimove_provider.contract.wire import members
from optimove_provider.contract.wire.errors import ApiError, Disagreement, SettingsError, Unreachable
from optimove_provider.contract.wire.messages import json_body
from optimove_provider.contract.wire.targets import connection_uuid
from optimove_provider.disk.room import keeping
from optimove_provider.loads.state.staging import Staging

log = logging.getLogger(__name__)


def create_once(
    client: OptixClient,
    staging: Staging,
    name: str,
    primary_key: str,
    description: str | None = None,
    data_connection_uuid: str | None = None,
    recreate: str | None = None,
) -> str:
    """Create the connection unless staging knows it; returns its `data_connection_uuid`.

    `recreate` is the uuid of one that is gone: while that is the one that staging knows, another one is created in its
    place. So the same `recreate`, once more, creates nothing.

    The intent is written before the request and the uuid after it, so a crash between the two cannot end in a second
    connection: an intent without a uuid raises Disagreement until a person passes `data_connection_uuid`. Under another
    host it is another connection, unless `target_alias` says that both are the same.
    """
    identity = {"conn_id": client.settings.conn_id, "host": client.settings.place, "name": name}
    path = f"connections/{uuid.uuid5(uuid.NAMESPACE_URL, json_body(identity).decode())}.json"
    known = staging.read_whole(path)
    if not known and client.settings.target_alias == "same":
        path, known = _moved(staging, identity) or (path, known)
    wanted = {**identity, "primary_key": primary_key}
    gone = connection_uuid(recreate) if recreate else None
    if gone and data_connection_uuid:
        raise SettingsError(
            "recreate= makes another data connection, data_connection_uuid= names one: give one of them"
        )
    if known and gone and _held(known) == gone:
        return _recreate(client, staging, path, wanted | {"replaces": gone}, description)
    if data_connection_uuid or known:
        passed = connection_uuid(data_connection_uuid) if data_connection_uuid else None
        return _recall(staging, path, known, {**wanted, "data_connection_uuid": passed})
    try:
        staging.create(path, {**wanted, "data_connection_uuid": None})
    except FileExistsError:
        raise Disagreement(_in_doubt(staging, path, name)) from None
    return _remembered(client, staging, path, wanted, description)


def _recreate(client: OptixClient, staging: Staging, path: str, wanted: dict[str, Any], description: str | None) -> str:
    """Create another one in the place of one that is gone: of two callers at once, one does."""
    gone = wanted["replaces"]
    claim, known = f"recreated/{gone}.json", staging.read_whole(path) or {}
    try:
        staging.create(claim, wanted)
    except FileExistsError:
        raise Disagreement(
            f"another task makes data connection {wanted['name']!r} anew, or one ended while it did: run this task "
            f"again. If it says so still, look in the Opti-X UI: if there is a new one, pass its uuid as "
            f"data_connection_uuid= and remove {staging.url(path)}; if not, remove {staging.url(claim)} and run again"
        ) from None
    try:
        staging.write(path, {**wanted, "data_connection_uuid": None})
        created = _remembered(client, staging, path, wanted, description)
    except BaseException as error:
        if staging.read_whole(path) in (None, known):  # surely nothing was made
            with keeping(error, f"to remember that {gone} is there no more"):
                staging.write(path, known)
                staging.remove(claim)
        raise
    log.warning(
        "data connection %r was made anew as %s, in the place of %s. Its ledger is new, so the next load sends every "
        "row. Campaigns name the uuid in their formulas, and assets in their names: give them the new one",
        wanted["name"],
        created,
        gone,
    )
    return created


def _remembered(
    client: OptixClient, staging: Staging, path: str, wanted: dict[str, Any], description: str | None
) -> str:
    """Create one, and remember its uuid where the intent to stands already."""
    created = _create(client, staging, path, wanted, description)
    try:
        staging.write(path, {**wanted, "data_connection_uuid": created})
    except Exception as error:  # whatever a storage raises: what was created must not be lost, nor made once more
        raise Disagreement(
            f"data connection {wanted['name']!r} was created as {created}, but staging could not be told: {error}. "
            f'Mend that, and pass data_connection_uuid="{created}" in the next run'
        ) from error
    return created


def _moved(staging: Staging, identity: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """What staging knows of this connection under the only other host that it was addressed at, with its path."""
    found = {}
    for name in staging.names("connections"):
        known = staging.read_whole(f"connections/{name}") or {}
        if all(known.get(part) == identity[part] for part in ("conn_id", "name")):
            found[f"connections/{name}"] = known
    if len(found) > 1:
        hosts = " and ".join(sorted(str(known["host"]) for known in found.values()))
        raise SettingsError(
            f'target_alias "same": data connection {identity["name"]!r} was created at {hosts}: pass the uuid of '
            "one as data_connection_uuid=, and take target_alias out"
        )
    return next(iter(found.items()), None)


def _create(client: OptixClient, staging: Staging, path: str, wanted: dict[str, Any], description: str | None) -> str:
    try:
        return client.create_connection(wanted["name"], wanted["primary_key"], description)
    except (ApiError, Unreachable) as error:
        never_made = error.certainly_not_done if isinstance(error, ApiError) else not error.sent
        if never_made:
            with keeping(error, f"to remove {staging.url(path)}, which says that it may have been made,"):
                staging.remove(path)
        raise
    except SettingsError:  # of a proxy, or of certificates, that cannot be used: it was not sent
        staging.remove(path)
        raise


def _recall(staging: Staging, path: str, known: dict[str, Any] | None, wanted: dict[str, Any]) -> str:
    """The uuid that staging holds, or that a person has passed, if all agree."""
    name, passed = wanted["name"], wanted["data_connection_uuid"]
    held = _held(known) if known else None
    if known and known["primary_key"] != wanted["primary_key"]:
        raise Disagreement(
            f"data connection {name!r} was created with primary_key {known['primary_key']!r}, not "
            f"{wanted['primary_key']!r}, and no call is documented that changes it: use another name"
        )
    if held and passed and held != passed:
        raise Disagreement(
            f"data connection {name!r} is {held} in {staging.url(path)}, but {passed} was passed: leave "
            "data_connection_uuid= out, or pass that one"
        )
    if not held and not passed:
        raise Disagreement(_in_doubt(staging, path, name))
    if not held:
        staging.write(path, wanted)
    return str(held or passed)


def _held(known: dict[str, Any]) -> str | None:
    """The uuid that was remembered; None for what is none: an earlier version took whatever was answered for one."""
    try:
        return members.uuid(known, "data_connection_uuid")
    except members.OddMember:
        return None


def _in_doubt(staging: Staging, path: str, name: str) -> str:
    return (
        f"an earlier try to create data connection {name!r} got no certain answer. Look in the Opti-X UI: if it is "
        f"there, pass its uuid as data_connection_uuid=; if it is not, remove {staging.url(path)} and run again"
    )
