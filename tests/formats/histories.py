"""What is kept of a version: of each vendor a world with a past, at each stage of one more load.

`says` tells what is true of it, before that load and after, as plain JSON.
"""

import json
from pathlib import Path

from optimove_provider.contract.outcomes import OUTCOMES
from optimove_provider.loads.dcp.profile_marks import ProfileMarks
from optimove_provider.loads.owed.by_hand import owed_rows
from optimove_provider.loads.suppression.suppression_list import list_of
from tests.formats import dcp_world, optix_world
from tests.formats.dcp_world import DcpWorld
from tests.formats.optix_world import OptixWorld
from tests.formats.points import Point
from tests.support.ledgers import ledger_rows

WORLDS = {"optix": OptixWorld, "dcp": DcpWorld}
MODULES = {"optix": optix_world, "dcp": dcp_world}
BEFORE, END = "before", "end"
"""The points without the load, and after it; the others are called like the stage that it died in."""


def lived(kind, folder, fate):
    """The points of a history by name, and what `says` has of BEFORE and END."""
    module = MODULES[kind]
    world, folder = WORLDS[kind](folder, fate), Path(folder)
    world = world.live_through()
    points, told = {BEFORE: _point(world, folder)}, {"load": module.LAST, BEFORE: says(world)}

    def look():
        """Of each stage the last moment is kept: a death there leaves the most."""
        state = folder / f"loads/{module.LOAD_ID}/load.json"
        if state.exists():
            points[json.loads(state.read_text())["stage"]] = _point(world, folder)
        fate.watch = look

    fate.watch = look
    report = world.run(module.LAST)
    fate.watch = None
    points[END] = _point(world, folder)
    told[END] = {"account": account(report), **says(world)}
    return points, told


def _point(world, folder):
    return Point.of(folder, world.as_json(), world.asked)


def read_back(kind, folder, fate, point):
    """The world of a point, with its staging in a new folder."""
    return WORLDS[kind].of(point.lay(folder), fate, point)


def account(report):
    """How many rows became what."""
    return {name: getattr(report, name) for name in ("rows", *OUTCOMES, "expired")}


def says(world):
    """What can be seen at the vendor, and what is known of each key, as plain JSON."""
    manifest, listed = world.ledger.read(), _listed(world)
    return {
        "visible": world.seen,
        "ledger": known(world.ledger),
        "profiles": known(ProfileMarks(world.ledger).ledger) if isinstance(world, DcpWorld) else {},
        "owed": {
            row["key"]: [row["record"], row["reason"], row["tries"]] for row in owed_rows(world.staging, manifest)
        },
        "suppressed": listed,
        "in_doubt": sorted(manifest.intents),
    }


def _listed(world):
    asked = [*optix_world.ROWS, optix_world.LISTED]
    found = list_of(world.staging, world.ledger.read())
    return [key for key, is_on in zip(asked, found.among(asked), strict=True) if is_on] if found else []


def known(ledger):
    """What a ledger has of each key. Its record is what the target has, if that `is_known`."""
    return {json.loads(key): _plain(row) for key, row in sorted(ledger_rows(ledger).items())}


def _plain(row):
    told = {name: row[name] for name in ("state", "evidence", "stamp")}
    told |= {"record": row["record"] and json.loads(row["record"]), "is_known": row["fingerprint"] is not None}
    return told | {name: row[name] and row[name].isoformat() for name in ("generation", "expires")}
