"""One type for all keys of a ledger of Opti-X: whether 1 and "1" are one record there is documented nowhere.

If they are, a record that was written under the one key would be overwritten under the other, and the ledger would
still say that it is there. So the type is fixed with the first rows that may be sent, and no other one is sent. A load
that sends nothing, such as an empty first one, fixes none.
"""

from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.loads.ledger import layers
from optimove_provider.loads.ledger.manifest import Manifest
from optimove_provider.loads.state.staging import Staging

BOTH = (
    'this ledger has keys of both types, from before a ledger had one: where 1 and "1" are one record, the target may '
    'hold other values than the ledger says. Run mode="full" once with every key'
)


class OtherKeyType(SettingsError):
    """The keys of a load are of another type than those of the ledger."""


@dataclass(frozen=True, slots=True)
class KeyType:
    """The type of a load's keys, "string" or "integer", and the data connection that it is for."""

    name: str
    data_connection_uuid: str

    def check(self, staging: Staging, manifest: Manifest) -> str:
        """Raise OtherKeyType for a ledger of the other type; tell in words what is odd about one of both.

        The ledger of an older version does not know its type: that of the keys in it counts.
        """
        known = {manifest.key_type} if manifest.key_type else stored_types(staging, manifest)
        if known and self.name not in known:
            raise self._refusal(next(iter(known)))
        return BOTH if len(known) > 1 else ""

    def fixed_in(self, manifest: Manifest) -> Manifest:
        """The manifest with this type. Raises OtherKeyType where it has the other."""
        if manifest.key_type not in ("", self.name):
            raise self._refusal(manifest.key_type)
        return replace(manifest, key_type=self.name)

    def _refusal(self, known: str) -> OtherKeyType:
        uuid = self.data_connection_uuid
        return OtherKeyType(
            f"data connection {uuid}: the keys in its ledger are of type {known}, and this load has key_type="
            f'{self.name!r}. Whether 1 and "1" are one record is not documented, so nothing is sent: set key_type='
            f"{known!r}. If the keys are to be of type {self.name} from now on, take a new data connection, or empty "
            f"this one and begin its ledger anew: airflow optimove ledger forget {uuid}"
        )


def stored_types(staging: Staging, manifest: Manifest) -> set[str]:
    """The types of the keys in all rows of a ledger, and of what may have been sent. Tombstones are of no record."""
    found = set[str]()
    for batch in layers.read(staging, layers.of_all(staging, manifest), ["key", "state"]):
        found |= _types(batch["key"].filter(pc.not_equal(batch["state"], "tombstone")))
        if len(found) > 1:
            break
    return found


def _types(keys: pa.StringArray) -> set[str]:
    """Of JSON texts."""
    is_text = pc.starts_with(keys, '"').unique().to_pylist()
    return {"string" if one else "integer" for one in is_text}
