"""JSON from servers on this machine, past any proxy that the environment names."""

import json
from collections.abc import MutableMapping
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

HOST = "127.0.0.1"


def get_json(url: str, timeout_seconds: float = 10) -> Any:
    """The JSON behind an http:// URL. Raises OSError if nobody answers and ValueError if it is no JSON."""
    parts = urlsplit(url)
    connection = HTTPConnection(str(parts.hostname), parts.port, timeout=timeout_seconds)
    try:
        connection.request("GET", parts.path)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def bypass_proxies(variables: MutableMapping[str, str]) -> None:
    """Add this machine to NO_PROXY: clients that heed proxy variables then reach the emulator directly."""
    for name in ("NO_PROXY", "no_proxy"):
        others = [host for host in variables.get(name, "").split(",") if host]
        variables[name] = ",".join(dict.fromkeys([*others, HOST, "localhost"]))
