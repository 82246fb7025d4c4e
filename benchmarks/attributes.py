"""The columns of the files that the benchmarks generate. Apart, as reading them loads no library."""

from optimove_provider.contract.cells.datatypes import KEY_COLUMN, Attribute

ATTRIBUTES = (
    Attribute("isVip", "bool"),
    Attribute("points", "long"),
    Attribute("balance", "double"),
    Attribute("birthDate", "datetime", "yyyy-mm-dd"),
    Attribute("lastSeen", "datetime", "yyyy-mm-ddThh:mm:ssZ"),
    Attribute("signupTs", "datetime", "epoch"),
    Attribute("note", "string"),
)
HEADER = (KEY_COLUMN, *(attribute.name for attribute in ATTRIBUTES))
