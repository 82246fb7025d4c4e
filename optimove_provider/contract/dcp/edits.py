"""Services, tables and attributes that are there, changed or archived, one request each. No I/O here.

What somebody wants to be there is in `contract.dcp.ensure`; these are for people who know what they change.
"""

from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.wire.answers import tell
from optimove_provider.contract.wire.errors import Refused
from optimove_provider.contract.wire.messages import Endpoint, Flow


def rename_service(service_id: int, name: str) -> Flow[None]:
    """Change a service's name, the only thing about it that can be changed."""
    yield from tell(dcp.UPDATE_SERVICE, {"name": name}, service_id=service_id)


def delete_service(service_id: int) -> Flow[None]:
    """Delete a service. "This archives all files in the corresponding AWS account"; what becomes of its tables and
    profiles is not documented, nor how to bring it back."""
    yield from _delete(dcp.DELETE_SERVICE, service_id=service_id)


def update_table(table_id: int, name: str | None = None, description: str | None = None) -> Flow[None]:
    """Change a table's name or description; None keeps what is there, and where both are None nothing is sent.

    The locator is not changed here: what becomes of stored profiles is not documented.
    """
    if (name, description) != (None, None):
        yield from tell(dcp.UPDATE_TABLE, {"name": name, "description": description}, table_id=table_id)


def delete_table(table_id: int) -> Flow[None]:
    """Delete a table. What becomes of its profiles and files is not documented, nor how to bring it back."""
    yield from _delete(dcp.DELETE_TABLE, table_id=table_id)


def describe_attribute(attribute_id: int, description: str) -> Flow[None]:
    """Change an attribute's description, the only thing about it that can be changed."""
    yield from tell(dcp.UPDATE_ATTRIBUTE, {"description": description}, attribute_id=attribute_id)


def archive_attribute(attribute_id: int) -> Flow[None]:
    """Archive an attribute: its values are neither read nor written any more. It can be brought back in the web UI."""
    yield from _delete(dcp.DELETE_ATTRIBUTE, attribute_id=attribute_id)


def _delete(endpoint: Endpoint, **path: object) -> Flow[None]:
    """Delete by id. Where it is not found after a try whose answer was lost, that try has deleted it."""
    try:
        yield from tell(endpoint, None, **path)
    except Refused as error:
        if error.status not in (404, 410) or not error.repeated:
            raise
