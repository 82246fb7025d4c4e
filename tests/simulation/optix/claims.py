"""What the ledger says it knows is true, and no output says what it must not."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from optimove_provider.emulator import API_KEY, BRAND_KEY
from optimove_provider.loads.ledger.ledger import Ledger
from tests.simulation.optix.tasks import STAMP
from tests.simulation.storage import as_staging
from tests.simulation.target import WrongWorld
from tests.support.ledgers import ledger_rows

if TYPE_CHECKING:
    from tests.simulation.optix.connection import OptixConnection

_SOON = timedelta(minutes=10)
"""What expires by then may be gone."""


def check_claims(ledger: Ledger, stored: Mapping[str, Mapping[str, Any]], now: datetime) -> None:
    """Of each key that the ledger knows: it is there with that record and stamp, or it is not there."""
    for key, row in ledger_rows(ledger).items():
        found = stored.get(json.loads(key))
        if row["state"] == "tombstone":
            if found is not None:
                raise WrongWorld(f"the ledger says that {key} is gone, and it is {found}")
        elif row["fingerprint"] is not None and not (row["expires"] and row["expires"] < now + _SOON):
            claimed = json.loads(row["record"]) | (json.loads(row["stamp"]) if row["stamp"] else {})
            if found is None or dict(found) | {STAMP: found.get(STAMP)} != claimed | {STAMP: claimed.get(STAMP)}:
                raise WrongWorld(f"the ledger says that {key} is {claimed}, and it is {found}")


def check_outputs(target: "OptixConnection") -> None:
    """No secret is in staging, and no key of another target in a report."""
    staging = as_staging(target.world.staging())
    told = "\n".join(target.world.scheduler.trace)
    if API_KEY in told or BRAND_KEY in told:
        raise WrongWorld("a secret is in what was told")
    others = [key for other in target.world.targets if other is not target for key in other.source.keys]
    for path in staging.fs.find(staging.root):
        content = staging.fs.cat_file(path)
        if any(secret.encode() in content for secret in (API_KEY, BRAND_KEY)):
            raise WrongWorld(f"a secret is in {path}")
        is_ours = target.uuid.encode() in content and "/reports/" in path
        if is_ours and (leaked := [key for key in others if f'"{key}"'.encode() in content]):
            raise WrongWorld(f"{path} of {target.name} has {leaked}")
