"""What the DCP API keeps: the service, its tables, their attributes and profiles. No I/O here.

Field names and shapes follow the vendor's REST reference, dcpservices, dcptables and dcpattributes.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.emulator.model.switches import PathForm, TableKeys

ACCOUNT_ID = 123456
CellValue = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Credentials:
    """The AWS identity by which files are uploaded. Made up: it opens the emulator's S3."""

    access_key: str
    secret_key: str
    shown: TableKeys = "both"

    def as_json(self) -> dict[str, Any]:
        """As services and tables show it."""
        none = None if self.shown == "null" else ""
        return {
            "aws_access_key": self.access_key if self.shown in ("both", "access_key_only") else none,
            "aws_secret_key": self.secret_key if self.shown == "both" else none,
        }


@dataclass(slots=True)
class Project:
    """An experiment project, with the service that it is linked to."""

    id: int
    name: str
    dcp_service_id: int | None = None

    def as_json(self) -> dict[str, Any]:
        """As the API returns it, but for members that have nothing to do with DCP."""
        return {
            "id": self.id,
            "account_id": ACCOUNT_ID,
            "project_name": self.name,
            "project_status": "Active",
            "dcp_service_id": self.dcp_service_id,
        }


def example_projects() -> dict[int, Project]:
    """The one project that there is from the start, with the id of the reference's examples: none can be created."""
    return {1234: Project(1234, "My project")}


@dataclass(slots=True)
class Service:
    """A DCP service. Guess: its tables share one AWS identity, as in an early draft of the reference.

    `aliases` are customer ids by table id, by Optimizely user id.
    """

    id: int
    name: str
    credentials: Credentials
    created: str
    path_form: PathForm = "ids"
    aliases: dict[str, dict[str, str]] = field(default_factory=dict)
    archived: bool = False
    last_modified: str = ""

    @property
    def path(self) -> str:
        """The prefix of all imports."""
        return f"dcp/{_path_part(self.id, self.path_form)}"

    @property
    def s3_path(self) -> str | None:
        """The same, as it is shown."""
        return _shown_path(self.path, self.path_form)

    def as_json(self) -> dict[str, Any]:
        """As the API returns it."""
        return {
            "id": self.id,
            "account_id": ACCOUNT_ID,
            "name": self.name,
            "archived": self.archived,
            **self.credentials.as_json(),
            "s3_path": self.s3_path,
            "created": self.created,
            "last_modified": self.last_modified or self.created,
        }


@dataclass(slots=True)
class Registered:
    """An attribute as the table has it, archived or not."""

    id: int
    attribute: Attribute
    created: str
    last_modified: str = ""

    def as_json(self) -> dict[str, Any]:
        """As a table shows it: without instants and without the table's id (REST reference, dcptables, list)."""
        attribute = self.attribute
        return {
            "id": self.id,
            "name": attribute.name,
            "datatype": attribute.datatype,
            "format": attribute.format,
            "description": attribute.description,
            "is_value_public": False,
            "archived": attribute.archived,
        }


@dataclass(slots=True)
class Table:
    """A table, a "datasource" in URLs. `profiles` are the values that are read, by customerId and attribute name.

    `arriving` are writes that nobody can read yet: when they can, the customerId and the values.
    """

    id: int
    service: Service
    name: str
    keyfield_locator_type: str
    keyfield_locator_name: str | None
    description: str | None
    created: str
    is_optimizely: bool = False
    archived: bool = False
    last_modified: str = ""
    registered: list[Registered] = field(default_factory=list)
    profiles: dict[str, dict[str, CellValue]] = field(default_factory=dict)
    arriving: deque[tuple[float, str, Mapping[str, CellValue | None]]] = field(default_factory=deque)

    @property
    def path(self) -> str:
        """Where files for this table are put."""
        return f"{self.service.path}/{_path_part(self.id, self.service.path_form)}"

    @property
    def s3_path(self) -> str | None:
        """The same, as it is shown."""
        return _shown_path(self.path, self.service.path_form)

    @property
    def attributes(self) -> dict[str, Registered]:
        """The attributes by name: of those with one name the live one, or else the one that was archived last."""
        return {one.attribute.name: one for one in sorted(self.registered, key=lambda one: not one.attribute.archived)}

    def register(self, registered: Registered) -> None:
        """Add an attribute. Guess: of an archived one with its name, which it replaces, it takes no values over."""
        self.registered.append(registered)
        for profile in self.profiles.values():
            profile.pop(registered.attribute.name, None)

    def upsert(self, customer_id: str, values: Mapping[str, CellValue | None], readable: float) -> None:
        """Write one row, to be read from that instant on: its values replace earlier ones, others are kept.

        One that is None takes the earlier one away.
        """
        self.arriving.append((readable, customer_id, values))

    def show_written(self, now: float) -> None:
        """Let what is readable by now be read, in the order in which it was written."""
        while self.arriving and self.arriving[0][0] <= now:
            _, customer_id, values = self.arriving.popleft()
            profile = self.profiles.setdefault(customer_id, {})
            profile.update({name: value for name, value in values.items() if value is not None})
            for name in (name for name, value in values.items() if value is None):
                profile.pop(name, None)

    def as_json(self) -> dict[str, Any]:
        """As the API returns it."""
        return {
            "id": self.id,
            "dcp_service_id": self.service.id,
            "name": self.name,
            "description": self.description,
            "keyfield_locator_type": self.keyfield_locator_type,
            "keyfield_locator_name": self.keyfield_locator_name,
            "is_optimizely": self.is_optimizely,
            "attributes": [registered.as_json() for registered in self.registered],
            "archived": self.archived,
            **self.service.credentials.as_json(),
            "s3_path": self.s3_path,
            "created": self.created,
            "last_modified": self.last_modified or self.created,
        }


def _path_part(number: int, form: PathForm) -> str:
    return f"x{number * 2654435761 % 2**32:08x}" if form == "opaque" else str(number)


def _shown_path(path: str, form: PathForm) -> str | None:
    return None if form == "null" else f"/{path}/" if form == "slashes" else path
