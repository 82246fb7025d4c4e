"""Which column is the key of a record."""

from dataclasses import dataclass

from optimove_provider.contract.cells.datatypes import KEY_COLUMN, is_key_column
from optimove_provider.records.findings import file_rules


@dataclass(frozen=True, slots=True)
class Key:
    """The column that identifies a row: DCP's customerId, in any case, or the key of an Opti-X data connection.

    `rule` names the rule that every row has a key, `header_rule` the one that there is one such column, `errors` the
    rules about ids that are errors here: an upload into a data connection is refused for a key that is there twice.
    """

    name: str = KEY_COLUMN
    rule: str = file_rules.CUSTOMER_ID.name
    header_rule: str = file_rules.HEADER_CUSTOMER_ID.name
    any_case: bool = True
    errors: frozenset[str] = frozenset()

    @classmethod
    def of_optix(cls, primary_key: str) -> "Key":
        """The key of a data connection: its name is what it is."""
        return cls(
            primary_key,
            file_rules.KEY.name,
            file_rules.HEADER_KEY.name,
            False,
            frozenset({file_rules.ID_DUPLICATE.name}),
        )

    def __contains__(self, name: str) -> bool:
        return is_key_column(name) if self.any_case else name == self.name


DCP_KEY = Key()
