"""How the rows of a source become records: all that decides it, so that it can be done elsewhere in the same way."""

from dataclasses import dataclass

import pyarrow as pa

from optimove_provider.records.to_json.deletions import DeletedColumn, DeletionsApart, Encodes
from optimove_provider.records.to_json.encode import Encoder


@dataclass(frozen=True, slots=True)
class Encoding:
    """What of a load's options decides that. `replays`: the rows are those that a load has put aside."""

    primary_key: str
    key_type: str
    nulls: str
    deleted_column: str | None = None
    replays: bool = False

    @property
    def keeps_texts(self) -> bool:
        """Whether a key that is text travels as it is."""
        return self.key_type == "string"

    @property
    def deleted(self) -> DeletedColumn | None:
        """The column that says which rows are deletions."""
        return DeletedColumn(self.deleted_column, self.replays) if self.deleted_column else None

    def encoder(self, schema: pa.Schema) -> Encodes:
        """What encodes rows of these columns."""
        if column := self.deleted:
            return DeletionsApart(schema, column, self.primary_key, self.key_type, self._plain)
        return self._plain(schema)

    def _plain(self, schema: pa.Schema) -> Encoder:
        return Encoder(schema, self.primary_key, self.key_type, self.nulls)
