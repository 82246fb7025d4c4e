"""The buttons of every task that loads rows: they read what the task itself has pushed to XCom."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import BaseOperatorLink, conf

from optimove_provider.addresses import load_page, prefix_of, rejected_page
from optimove_provider.contract.wire.targets import is_loopback

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator

LOAD_ID, ACCOUNT = "load_id", "account"
"""The keys in XCom: the first is pushed before a load begins, the second however it ends."""

_DCP_UI = "https://app.optimizely.com/"
"""Documented as the place of the classic tokens; that it leads on to the tables is assumed."""
_OPTIX_GUIDE = "https://developer.optimove.com/docs/data-connections-api"
"""No address of the Opti-X UI is documented: this page says how to come to it."""


def told(ti: Any, key: str) -> Any:
    """What a task instance, this mapped one, has pushed under a key; None if it has not, or was killed before."""
    return ti.xcom_pull(task_ids=ti.task_id, key=key, map_indexes=ti.map_index)


def vendor_page(target: Mapping[str, Any]) -> str:
    """Where the vendor shows what a load has sent, by the target that its report names; empty where that names none."""
    place = urlsplit(str(target.get("host", "")))
    if is_loopback(place.hostname or ""):
        return f"{place.scheme}://{place.netloc}/"  # the emulator's start page
    return _DCP_UI if "dcp" in target else _OPTIX_GUIDE if "optix" in target else ""


class _LoadLink(BaseOperatorLink):
    key = ACCOUNT

    # Called in the task's own process as it ends, or is deferred: `ti_key` is the running task instance.
    def get_link(self, operator: "BaseOperator", *, ti_key: Any) -> str:
        """The address; empty where there is nothing to show."""
        known = told(ti_key, self.key)
        return self._address(known) if known else ""

    def _address(self, known: Any) -> str:
        """The address, by what the task has pushed under `key`."""
        raise NotImplementedError


class LoadReportLink(_LoadLink):
    """To the page of the task's load: what became of every row, and why."""

    name = "Load report"
    key = LOAD_ID

    def _address(self, known: str) -> str:
        return load_page(prefix_of(_base_url()), known)


class RejectedRowsLink(_LoadLink):
    """To the rows that were rejected, if there are any."""

    name = "Rejected rows"

    def _address(self, known: dict[str, Any]) -> str:
        return rejected_page(prefix_of(_base_url()), known["load_id"]) if known.get("rejected") else ""


class VendorLink(_LoadLink):
    """To where the vendor shows what was sent: the start page, as neither documents an address of a single target."""

    name = "Vendor's UI"

    def _address(self, known: dict[str, Any]) -> str:
        return vendor_page(known.get("target") or {})


LINKS = (LoadReportLink(), RejectedRowsLink(), VendorLink())


def _base_url() -> str:
    return str(conf.get("api", "base_url", fallback="") or "")
