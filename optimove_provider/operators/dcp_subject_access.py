"""The operator that asks Optimizely for one person's data."""

from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from optimove_provider.contract.dcp.subject_access import LONGEST_IDENTIFIER, REQUEST_TYPES
from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.hooks.dcp import DcpHook
from optimove_provider.kinds import KEYS, one_of
from optimove_provider.tasks.checked_fields import CheckedOperator
from optimove_provider.tasks.failures import airflow_failures

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class DcpSubjectAccessOperator(CheckedOperator):
    """Ask Optimizely to delete, or to export, all data that it has of customers, by their ids in DCP.

    It is a subject access request of Optimizely's REST API v2, one for each customer: the one documented way, as DCP's
    own API deletes no profile. It is about all products of the account, and cannot be undone. The answer says when it
    has to be done; nothing here waits for that, or can show what of a profile is gone. A task that is run again asks
    again, which deletes nothing else.

    The connection needs `rest_token`: the API takes a personal access token or one of OAuth 2.0, no classic one. Ids in
    `customer_ids` are kept by Airflow among a run's rendered fields.

    :param customer_ids: the customers: texts or whole numbers, or one; none of them is nothing to do. A template gives
        one, or a JSON list of them.
    :param request_type: "delete", or "access" for an export to S3.
    :param dcp_conn_id: the connection of DCP, with `rest_token`.
    """

    template_fields: Sequence[str] = ("customer_ids", "request_type", "dcp_conn_id")
    checked = MappingProxyType({"customer_ids": KEYS, "request_type": one_of(REQUEST_TYPES)})

    def __init__(
        self,
        *,
        customer_ids: Sequence[str | int] | str | int,
        request_type: str = "delete",
        dcp_conn_id: str = DcpHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.customer_ids = customer_ids
        self.request_type = request_type
        self.dcp_conn_id = dcp_conn_id
        self.check_literals()

    def check_together(self) -> None:
        """Raise SettingsError for an id that no request can carry."""
        ids = self.customer_ids if isinstance(self.customer_ids, list) else []
        if long := [str(one) for one in ids if len(str(one)) > LONGEST_IDENTIFIER]:
            raise SettingsError(
                f"customer_ids has {len(long)} of more than {LONGEST_IDENTIFIER} characters, which is the most that a "
                "subject access request takes: leave them out, and ask the vendor"
            )

    def execute(self, context: "Context") -> list[dict[str, Any]]:
        """Return, for each customer in their order, the request's id, its status and by when it has to be done."""
        self.read_rendered()
        with airflow_failures(), DcpHook(self.dcp_conn_id).get_conn() as client:
            asked = []
            for number, one in enumerate(KEYS.normal(self.customer_ids), 1):
                made = client.create_subject_access_request(str(one), self.request_type)
                self.log.info("request %d (%s) is %s, due by %s", number, made.id, made.status, made.sla_deadline_time)
                asked.append({"id": made.id, "status": made.status, "sla_deadline_time": made.sla_deadline_time})
            return asked
