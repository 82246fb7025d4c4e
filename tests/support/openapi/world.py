"""An emulator that holds something of everything, so that a made-up request can be about what is there.

A schema cannot say what is there, nor that one member has to fit another object: `make_possible` puts that right, and
leaves alone what is wrong by the schema on purpose.
"""

import itertools
from collections.abc import Container, Mapping
from typing import Any

import boto3
import requests

from optimove_provider.contract.cells.datatypes import is_key_column
from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import profiles
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.contract.wire.messages import Endpoint
from optimove_provider.emulator import API_KEY, BRAND_KEY, TOKEN
from optimove_provider.emulator.api.routes import PREFIXES
from optimove_provider.emulator.replies import whole_number
from optimove_provider.emulator.server import EmulatorServer

KEYS = {"x-api-key": API_KEY, "x-brand-key": BRAND_KEY, "Token": TOKEN, "Authorization": f"Bearer {TOKEN}"}
PRIMARY_KEY, USER, CUSTOMER = "id", "oeu1", "12345"
VALUES: dict[str, Any] = {
    "string": "shirts",
    "bool": True,
    "long": 7,
    "double": 1.5,
    "datetime yyyy-mm-dd": "2022-05-02",
    "datetime yyyy-mm-ddThh:mm:ssZ": "2022-05-02T10:10:59Z",
    "datetime epoch": 1651676123,
}
"""One for each kind of attribute."""
Path = Mapping[str, Any]
Body = dict[str, Any]


class World:
    """What there is: a data connection, a service, tables, an attribute of each datatype, a profile, a user's aliases.

    `ids` has the value for each name in a path.
    """

    def __init__(self, emulator: EmulatorServer) -> None:
        self.emulator, self.ids, self._names = emulator, dict[str, Any](), itertools.count()
        self.ids["data_connection_uuid"] = self._connection()
        self.ids["project_id"] = self._ask(dcp.LIST_PROJECTS)[0]["id"]
        service = self._ask(dcp.CREATE_SERVICE, {"name": "profiles"})["id"]
        self.ids["service_id"] = service
        self.ids["optimizely_table_id"] = self._ask(dcp.LIST_TABLES, service_id=service)[0]["id"]
        table = {"name": "customers", "keyfield_locator_type": "cookie", "keyfield_locator_name": "_id"}
        self.ids["table_id"] = self._ask(dcp.CREATE_TABLE, table, service_id=service)["id"]
        for kind in VALUES:
            datatype, _, form = kind.partition(" ")
            attribute = {"name": kind, "datatype": datatype, "format": form or None}
            made = self._ask(dcp.CREATE_ATTRIBUTE, attribute, table_id=self.ids["table_id"])
        self._import(b"customerId,string\n12345,shirts\n", b"customerId,unknown\n12345,shirts\n")
        self.ids |= {"attribute_id": made["id"], "customer_id": CUSTOMER, "optimizely_user_id": USER}
        self._profile()

    def _connection(self) -> str:
        created = self._ask(optix.CREATE_CONNECTION, {"name": "customers", "primary_key": PRIMARY_KEY})
        return str(created["data_connection_uuid"])

    def _profile(self) -> None:
        self._ask(profiles.WRITE_PROFILE, {"data": VALUES}, **self.ids)
        self._ask(profiles.CREATE_ALIASES, {"data": {str(self.ids["table_id"]): CUSTOMER}}, **self.ids)

    def _import(self, *files: bytes) -> None:
        """Put files where the importer finds them: so the upload history has entries."""
        table = self._ask(dcp.READ_TABLE, table_id=self.ids["table_id"])
        keys = {"aws_access_key_id": table["aws_access_key"], "aws_secret_access_key": table["aws_secret_key"]}
        s3 = boto3.client("s3", endpoint_url=self.emulator.s3_url, region_name=dcp.S3_REGION, **keys)
        for number, content in enumerate(files):
            s3.put_object(Bucket=dcp.IMPORT_BUCKET, Key=f"{table['s3_path']}/{number}.csv", Body=content)

    def _ask(self, row: Endpoint, body: Any = None, **path: Any) -> Any:
        url = self.emulator.url + PREFIXES[row.api] + row.path.format(**path)
        answer = requests.request(row.method, url, json=body, headers=KEYS, timeout=10)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def has(self, path: Path) -> bool:
        """Whether everything that a path names is there, the profile or user of a table aside."""
        state = self.emulator.state
        attributes = (one.id for table in state.tables.values() for one in table.registered)
        there: dict[str, Container[Any]] = {
            "data_connection_uuid": state.connections,
            "project_id": state.projects,
            "service_id": state.services,
            "attribute_id": set(attributes),
            **dict.fromkeys(("table_id", "optimizely_table_id"), state.tables),
        }
        return all(
            name not in there or value in there[name] or _number(value) in there[name] for name, value in path.items()
        )

    def make_possible(self, case: Any) -> Any:
        """The body of a request, about what there is; what is wrong with it by its schema stays wrong."""
        name = case.operation.definition.raw["operationId"].rpartition(".")[2]
        mend = getattr(self, f"_{name}", None)
        if name == "create_service":
            self._archive_services()
        return mend(case.body, case.path_parameters) if mend and isinstance(case.body, dict) else case.body

    def _archive_services(self) -> None:
        """An account has one service at a time."""
        for service in self.emulator.state.services.values():
            service.archived = True

    def _create_connection(self, body: Body, path: Path) -> Body:
        return {**body, "primary_key": PRIMARY_KEY} if body.get("primary_key") else body

    def _upload_data(self, body: Body, path: Path) -> Body:
        data = body.get("data")
        if not isinstance(data, list):
            return body
        return {**body, "data": [{**one, PRIMARY_KEY: self._key()} if isinstance(one, dict) else one for one in data]}

    def _key(self) -> Any:
        number = next(self._names)
        return number if number % 2 else str(number)

    def _create_attribute(self, body: Body, path: Path) -> Body:
        name = body.get("name")
        is_wrong = not isinstance(name, str) or not name or is_key_column(name)
        return body if is_wrong else {**body, "name": f"{name} {next(self._names)}"}

    def _update_table(self, body: Body, path: Path) -> Body:
        kind = body.get("keyfield_locator_type", "cookie")
        is_wrong = kind not in dcp.LOCATOR_TYPES or not isinstance(body.get("keyfield_locator_name"), str | None)
        if is_wrong or not {"keyfield_locator_type", "keyfield_locator_name"} & body.keys():
            return body
        return {**body, "keyfield_locator_type": kind, "keyfield_locator_name": None if kind == "uid" else "_id"}

    def _update_project(self, body: Body, path: Path) -> Body:
        is_right = (whole_number(body.get("dcp_service_id")) or 0) > 0
        return {**body, "dcp_service_id": self.ids["service_id"]} if is_right else body

    def _write_profile(self, body: Body, path: Path) -> Body:
        table, data = self.emulator.state.tables.get(_number(path["table_id"])), body.get("data")
        if not table or not isinstance(data, dict):
            return body
        there = {name: one.attribute for name, one in table.attributes.items() if not one.attribute.archived}
        pairs = zip(there.items(), data.values(), strict=False)
        return {
            **body,
            "data": {
                name: VALUES[one.kind] if isinstance(value, str | int | float) else value
                for (name, one), value in pairs
            },
        }

    def _create_aliases(self, body: Body, path: Path) -> Body:
        data, service = body.get("data"), _number(path["service_id"])
        if not isinstance(data, dict) or not all(name.isdecimal() for name in data):
            return body
        tables = [str(table.id) for table in self.emulator.state.tables.values() if table.service.id == service]
        return {**body, "data": dict(zip(tables, data.values(), strict=False))}


def _number(text: Any) -> int:
    return int(text) if str(text).isascii() and str(text).isdecimal() else 0
