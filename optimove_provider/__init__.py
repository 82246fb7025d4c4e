"""Airflow provider for Opti-X Data Connections and Dynamic Customer Profiles.

Airflow imports this module in every process to read `get_provider_info()`, so it imports nothing heavy.
"""

from typing import Any

__version__ = "0.1.0"

_OPTIX = "Opti-X Data Connections"
_DCP = "Dynamic Customer Profiles"


def _field(label: str, description: str, *, kind: str = "string", **schema: Any) -> dict[str, Any]:
    """A field of a connection form that may stay empty."""
    return {"label": label, "description": description, "schema": {"type": [kind, "null"], **schema}}


_SHARED = {
    "target_alias": _field(
        "Same target under another host",
        "Only when a load asks: whether a uuid or table that has a ledger under another host is the same target there.",
        enum=["same", "other", None],
    ),
    "requests_per_10s": _field(
        "Requests per 10 seconds", "For all loads that use this connection.", kind="number", default=50
    ),
    "timeout_seconds": _field(
        "Timeout (seconds)", "For each request, to the last byte of its answer.", kind="number", default=60
    ),
}


def _form(host: str, password: str, placeholders: dict[str, str]) -> dict[str, Any]:
    # The port stays visible: the Test button of Airflow 3.3 sends 0 for a blank one, and answers "Bad Request" unless 0
    # is stored.
    return {
        "hidden-fields": ["schema", "login"],
        "relabeling": {"host": host, "password": password, "port": "Port (0 if it is in the URL; Test fails if blank)"},
        "placeholders": placeholders,
    }


_OPTIX_CONNECTION = {
    "connection-type": "optimove_optix",
    "hook-class-name": "optimove_provider.hooks.optix.OptixHook",
    "hook-name": _OPTIX,
    "ui-field-behaviour": _form(
        "Base URL",
        "x-api-key",
        {"host": "https://api.opti-x.optimove.net/api/data-connections/v1", "port": "0"},
    ),
    "conn-fields": {
        # The name holds "api_key", so Airflow masks it: extras are masked by their names alone.
        "brand_api_key": {
            "label": "x-brand-key",
            "description": "From the Opti-X Developer Tools, like the x-api-key.",
            "schema": {"type": "string", "format": "password"},
        },
        **_SHARED,
    },
}

_DCP_CONNECTION = {
    "connection-type": "optimizely_dcp",
    "hook-class-name": "optimove_provider.hooks.dcp.DcpHook",
    "hook-name": _DCP,
    "ui-field-behaviour": _form(
        "Config base URL",
        "Token (classic, or OAuth 2.0)",
        {"host": "https://www.optimizelyapis.com/experiment/v1", "port": "0"},
    ),
    "conn-fields": {
        "auth_scheme": _field(
            "Auth scheme",
            "How the token goes along: Token, for a classic token (blank), or Bearer, for an OAuth 2.0 access token.",
            enum=["Token", "Bearer", None],
        ),
        "profile_host": _field("Profile base URL", "Blank for https://vis.optimizely.com/api."),
        "rest_host": _field("REST API v2 base URL", "Blank for https://api.optimizely.com/v2."),
        # The name holds "token", so Airflow masks it.
        "rest_token": _field(
            "REST API v2 token",
            "For subject access requests only: a personal access token, or one of OAuth 2.0.",
            format="password",
        ),
        "import_bucket": _field("Import bucket", "Blank for optimizely-import."),
        "s3_endpoint_url": _field("S3 endpoint URL", "Blank for AWS."),
        "region": _field("AWS region", "Blank for us-east-1."),
        "aws_conn_id": _field("AWS connection id", "Blank to use the keys that each table carries."),
        "upload_method": _field(
            "Upload method",
            "How files go up: in parts (multipart), whole with one PUT of less than 5 GB each (put), or in parts "
            "unless S3 refuses that (auto).",
            enum=["auto", "multipart", "put", None],
        ),
        "upload_history_url": _field(
            "Upload history URL",
            "A URL with {table_id} in it. The vendor documents none. Blank to read profiles back instead. Airflow "
            "shows it as it is: a token in it belongs into the next field, with {upload_history_token} in its place.",
        ),
        # The name holds "token", so Airflow masks it.
        "upload_history_token": _field(
            "Upload history token",
            "Sent as a Bearer token (or as it is, if it names another scheme), unless the URL has its place.",
            format="password",
        ),
        **_SHARED,
    },
}


_OPERATORS = {
    _OPTIX: ["optix", "optix_expire", "sharded", "source_parts"],
    _DCP: ["dcp", "dcp_import", "dcp_sharded", "dcp_subject_access", "csv"],
}
_LINKS = ("LoadReportLink", "RejectedRowsLink", "VendorLink")

_NOTIFIERS = ("RejectedRowsNotifier", "DegradedLoadNotifier", "RecoveredNotifier")


def _modules(kind: str, names: dict[str, list[str]]) -> list[dict[str, Any]]:
    return [
        {
            "integration-name": integration,
            "python-modules": [f"optimove_provider.{kind}.{name}" for name in modules],
        }
        for integration, modules in names.items()
    ]


def get_provider_info() -> dict[str, Any]:
    """The provider's metadata, as Airflow's `provider_info.schema.json` wants it."""
    return {
        "package-name": "airflow-provider-optimove",
        "name": "Optimove",
        "description": "Syncs customer data into Opti-X Data Connections and Dynamic Customer Profiles.",
        "integrations": [
            {
                "integration-name": _OPTIX,
                "external-doc-url": "https://developer.optimove.com/docs/using-your-data-connections",
                "tags": ["service"],
            },
            {
                "integration-name": _DCP,
                "external-doc-url": "https://docs.developers.optimizely.com/web-experimentation/docs/customer-profiles",
                "tags": ["service"],
            },
        ],
        "operators": _modules("operators", _OPERATORS),
        "sensors": _modules("sensors", {_DCP: ["dcp"]}),
        "hooks": _modules("hooks", {_OPTIX: ["optix"], _DCP: ["dcp"]}),
        "notifications": [f"optimove_provider.notifications.load.{name}" for name in _NOTIFIERS],
        "triggers": _modules("triggers", {_DCP: ["dcp"]}),
        "asset-uris": [
            {"schemes": [scheme], "handler": "optimove_provider.assets.sanitize"} for scheme in ("optix", "dcp")
        ],
        "extra-links": [f"optimove_provider.links.load.{name}" for name in _LINKS],
        "connection-types": [_OPTIX_CONNECTION, _DCP_CONNECTION],
        "cli": ["optimove_provider.cli.get_commands"],
        "config": {
            "optimove": {
                "description": "Settings of the Optimove provider.",
                "options": {
                    "staging": {
                        "description": "Where loads keep their state and reports: a folder, or a URL of any file "
                        "system that Airflow's object storage knows (s3://conn_id@bucket/path). "
                        "Empty means $AIRFLOW_HOME/optimove.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "s3://aws_default@my-bucket/optimove",
                        "default": "",
                    },
                    "staging_is_shared": {
                        "description": "Whether all machines that run tasks see the folder that staging names. "
                        "Executors that run tasks on other machines refuse a folder otherwise.",
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": None,
                        "default": "False",
                    },
                    "staging_mode": {
                        "description": "Who may read what loads write to a local staging folder, whatever the umask: "
                        "private (the user who runs the tasks: 0600, folders 0700), or group (also the folder's group: "
                        "0660, folders 2770), where tasks run as several users.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "group",
                        "default": "private",
                    },
                    "show_records": {
                        "description": "Whether the Sync history shows what records hold to whoever may read the DAGs "
                        "behind them: samples of plans, contents of rejected rows, and a record by its key.",
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": None,
                        "default": "False",
                    },
                    "sync_log": {
                        "description": "The table that each load leaves a row in, over any database connection: "
                        "conn_id:table, or a JSON object with conn_id, table, rejected_rows and keep_days. An "
                        "operator's own sync_log takes its place. Empty means none.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": '{"conn_id": "warehouse", "table": "ops.sync_log", "rejected_rows": true}',
                        "default": "",
                    },
                    "keep_days": {
                        "description": "After how many days reports, rejected rows, and loads that nobody took up "
                        "again are removed from staging.",
                        "version_added": "0.1.0",
                        "type": "integer",
                        "example": None,
                        "default": "30",
                    },
                    "keep_loads": {
                        "description": "At most so many loads that have ended are kept, the newest: their reports, "
                        "rejected rows and logs, for whoever loads every few minutes. 0 keeps all for keep_days.",
                        "version_added": "0.1.0",
                        "type": "integer",
                        "example": "1000",
                        "default": "0",
                    },
                    "keep_replaced_minutes": {
                        "description": "For how long files of a ledger stay that a compaction has replaced: longer "
                        "than a dry run or a backup takes, which may be reading them. At least 5.",
                        "version_added": "0.1.0",
                        "type": "integer",
                        "example": None,
                        "default": "1440",
                    },
                },
            }
        },
    }
