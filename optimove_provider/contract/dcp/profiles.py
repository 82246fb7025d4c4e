"""Profiles and aliases of DCP: endpoints of the profile host, and the conversations over them. No I/O here.

The REST reference (`contract.dcp.reference`) shows paths and bodies, and hardly any answer: what counts as success is
in `wire.success`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from optimove_provider.contract.cells.values import JsonValue
from optimove_provider.contract.dcp import reference
from optimove_provider.contract.wire import members
from optimove_provider.contract.wire.answers import Reader, ask_pages, decoded, read, read_list, tell
from optimove_provider.contract.wire.errors import succeed
from optimove_provider.contract.wire.messages import Endpoint, Flow, Response, T

UNADDRESSABLE = (".", "..")
"""Ids that no URL can name: as a path segment they mean something else, encoded or not."""

MAX_ID = 2000
"""Characters of an id that a URL can carry: servers refuse longer ones, some even shorter ones (assumed)."""

API = "dcp_profiles"
BASE_URL = "https://vis.optimizely.com/api"


_row = partial(reference.row, API)
_PROFILE = "/customer_profile/{service_id}/{table_id}/{customer_id}"
_ALIAS = "/alias/{service_id}/{optimizely_table_id}/{optimizely_user_id}"

READ_PROFILE = _row(
    "read_profile",
    "GET",
    _PROFILE,
    "dcpcustomerprofiles/1-read",
    "Get a single customer profile.",
    retry_safe=True,
)
WRITE_PROFILE = _row(
    "write_profile",
    "POST",
    _PROFILE,
    "dcpcustomerprofiles/2-write",
    "The specified attribute value overwrites any existing value specified earlier.",
    note="So sending the same values twice is safe.",
    retry_safe=True,
)
READ_CONSOLIDATED = _row(
    "read_consolidated_view",
    "GET",
    "/consolidatedCustomerView/{service_id}/{optimizely_table_id}/{optimizely_user_id}",
    "dcpcustomerprofiles/3-consolidated",
    "Get a consolidated view of a single customer profile.",
    retry_safe=True,
)
READ_CONSOLIDATED_2016 = Endpoint(
    "read_consolidated_view_2016",
    API,
    "GET",
    "/consolidatedCustomerView/{service_id}/{optimizely_user_id}",
    retry_safe=True,
    source='REST reference: "The `dcp_service_id` and `optimizely_user_id` are required in the URL." So in that of '
    "2016; asked for where the path of 2020 is answered 404. https://github.com/tscanlin/developers.optimizely.com/blob/"
    "a3aa619e8a33ee366643d147aab17703f681f594/src/content/customer-profiles/customer_profiles/3-consolidated.md",
    least_wait_seconds=reference.LEAST_WAIT_SECONDS,
)
READ_ALIASES = _row(
    "read_aliases",
    "GET",
    _ALIAS,
    "dcpalias/1-read",
    "Get all customer IDs aliased to the specified Optimizely User ID.",
    retry_safe=True,
)
CREATE_ALIASES = _row(
    "create_aliases",
    "POST",
    _ALIAS,
    "dcpalias/2-create",
    "Alias customer IDs to the specified Optimizely User ID.",
    note="What a second one does is not documented, so it is not repeated.",
    retry_safe=False,
)
ENDPOINTS = (
    READ_PROFILE,
    WRITE_PROFILE,
    READ_CONSOLIDATED,
    READ_CONSOLIDATED_2016,
    READ_ALIASES,
    CREATE_ALIASES,
)


@dataclass(frozen=True, slots=True)
class Profile:
    """What one table holds about one customer. Ids are text here, as the API has them."""

    table_id: str
    customer_id: str
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, profile: Mapping[str, Any]) -> "Profile":
        """Read a profile as the API returns it."""
        table_id, customer_id = members.number(profile, "datasourceId"), members.customer_id(profile, "customerId")
        return cls(str(table_id), customer_id, _data(profile))


def _user(service_id: int, optimizely_table_id: int, optimizely_user_id: str) -> dict[str, object]:
    return {
        "service_id": service_id,
        "optimizely_table_id": optimizely_table_id,
        "optimizely_user_id": optimizely_user_id,
    }


_IDS = {"datasourceId", "customerId", "serviceId", "dcpServiceId", "optimizelyUserId"}
"""Members that say of whom an answer is, and nothing of what is stored."""


def _data(found: Mapping[str, Any]) -> dict[str, Any]:
    """What is under `data`. An answer of other members has its values elsewhere: it is not one without values."""
    if "data" not in found and (others := found.keys() - _IDS):
        raise members.OddMember(f"data is missing, beside {len(others)} other members; expected an object")
    return members.values(found, "data")


def _aliases(found: Mapping[str, Any]) -> dict[str, str]:
    data = _data(found)
    return {table_id: members.customer_id(data, table_id) for table_id in data}


def read_profile(service_id: int, table_id: int, customer_id: str) -> Flow[dict[str, Any] | None]:
    """One customer's values by attribute name; None for an unknown customer.

    What the API answers for one is not documented: a 404, a body that says nothing and one without values all count.
    """
    ids = {"service_id": service_id, "table_id": table_id, "customer_id": customer_id}
    return (yield from _maybe(READ_PROFILE, _data, **ids)) or None


def read_aliases(service_id: int, optimizely_table_id: int, optimizely_user_id: str) -> Flow[dict[str, str]]:
    """Table id -> customer id in that table, for one Optimizely user id; empty for an unknown one."""
    ids = _user(service_id, optimizely_table_id, optimizely_user_id)
    return (yield from _maybe(READ_ALIASES, _aliases, **ids))


_NOTHING = (b"", b"null", b"[]")


def _maybe(endpoint: Endpoint, reader: Reader[dict[str, T]], **path: object) -> Flow[dict[str, T]]:
    answer = yield endpoint.request(None, **path)
    if isinstance(answer, Response) and answer.status == 404:
        return {}
    response = succeed(endpoint, answer)
    if response.body.strip() in _NOTHING:
        return {}
    return read(endpoint, response, reader, decoded(endpoint, response, dict))


def write_profile(service_id: int, table_id: int, customer_id: str, data: Mapping[str, JsonValue]) -> Flow[None]:
    """Write some of a customer's values. Raises Refused for an attribute or a value that the API does not take."""
    ids = {"service_id": service_id, "table_id": table_id, "customer_id": customer_id}
    yield from tell(WRITE_PROFILE, {"data": dict(data)}, **ids)


def create_aliases(
    service_id: int, optimizely_table_id: int, optimizely_user_id: str, aliases: Mapping[str, str]
) -> Flow[None]:
    """Say under which customer id each table knows an Optimizely user id. `aliases`: table id -> customer id."""
    ids = _user(service_id, optimizely_table_id, optimizely_user_id)
    yield from tell(CREATE_ALIASES, {"data": dict(aliases)}, **ids)


def read_consolidated_view(service_id: int, optimizely_table_id: int, optimizely_user_id: str) -> Flow[list[Profile]]:
    """One profile for each table that knows the Optimizely user id; none for an unknown one.

    What the API answers for one is not documented: a 404, an empty body and an empty array all count. Where there is no
    array, the API may have the path of 2016 only: that is asked, too.
    """
    ids = _user(service_id, optimizely_table_id, optimizely_user_id)
    pages = yield from ask_pages(READ_CONSOLIDATED, ids, may_be_none=True)
    if pages:
        return read_list(READ_CONSOLIDATED, pages, Profile.from_json, [])
    del ids["optimizely_table_id"]
    pages = yield from ask_pages(READ_CONSOLIDATED_2016, ids, may_be_none=True)
    return read_list(READ_CONSOLIDATED_2016, pages, Profile.from_json, [])
