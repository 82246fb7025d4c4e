"""Every endpoint that is served, what it is, and which of them are assumed. No I/O here."""

from dataclasses import dataclass

from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import subject_access
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.contract.wire.messages import Endpoint
from optimove_provider.emulator.api.routes import PREFIXES


@dataclass(frozen=True, slots=True)
class Served:
    """One endpoint of a vendor's API, as the page shows it."""

    name: str
    method: str
    path: str
    source: str

    @property
    def is_assumed(self) -> bool:
        """Whether no page of the vendor's documents it."""
        return self.source.startswith("assumed")


def vendors() -> list[Served]:
    """All of their APIs."""
    return [_served(row) for row in (*optix.ENDPOINTS, *dcp.ENDPOINTS, *subject_access.ENDPOINTS)]


def _served(row: Endpoint) -> Served:
    return Served(f"{row.api}.{row.name}", row.method, PREFIXES[row.api] + row.path, row.source)
