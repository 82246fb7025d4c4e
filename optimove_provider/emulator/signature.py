"""Whether a request to S3 is signed as AWS asks for it (Signature Version 4), by botocore's own computation.

Of the body only the digest that the request names is signed; that it is the body's is not looked at.
"""

import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_FORM = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/(\d{8})/([^/,\s]+)/([^/,\s]+)/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class Signed:
    """A request as it came: the path and the query as they were sent, and its headers, whose names are lowercase."""

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def access_key(self) -> str:
        """The access key that it names; empty where it is not signed."""
        found = _FORM.fullmatch(self.headers.get("authorization", ""))
        return found[1] if found else ""


def why_not_signed(asked: Signed, secret_of: Callable[[str], str | None]) -> str:
    """S3's error code for a request that is not signed as it should be; empty if it is.

    `secret_of` gives the secret key that belongs to an access key, None if there is none.
    """
    found = _FORM.fullmatch(asked.headers.get("authorization", ""))
    if not found:
        return "AccessDenied"
    access_key, _, region, service, names, signature = found.groups()
    secret = secret_of(access_key)
    if secret is None:
        return "InvalidAccessKeyId"
    wanted = _signature(asked, names.split(";"), (access_key, secret), region, service)
    return "" if hmac.compare_digest(signature, wanted) else "SignatureDoesNotMatch"


def _signature(asked: Signed, names: list[str], keys: tuple[str, str], region: str, service: str) -> str:
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    signing = S3SigV4Auth(Credentials(*keys), service, region)
    headers = {name: asked.headers[name] for name in names if name in asked.headers}
    url = f"http://{asked.headers.get('host', '')}{asked.target}"
    request = AWSRequest(method=asked.method, url=url, headers=headers)
    request.context["timestamp"] = asked.headers.get("x-amz-date", "")
    told = signing.string_to_sign(request, signing.canonical_request(request))
    return str(signing.signature(told, request))
