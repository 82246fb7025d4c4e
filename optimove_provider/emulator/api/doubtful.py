"""2xx that are no success: what proxies, sign-in pages and half-hearted servers answer to a write. No I/O here."""

from collections.abc import Mapping

from optimove_provider.contract.wire.messages import JSON_TYPE, Response

_HTML, _JSON = {"content-type": "text/html; charset=utf-8"}, {"content-type": JSON_TYPE}

DOUBTFUL: Mapping[str, Response] = {
    "html": Response(200, b"\n<!doctype html><title>Sign in</title>", _HTML),
    "html_202": Response(202, b"<html><body>maintenance</body></html>", _HTML),
    "html_unnamed": Response(200, b"\xef\xbb\xbf<HTML><body>maintenance"),
    "text_201": Response(201, b"queued by the gateway"),
    "success_false": Response(200, b'{"success": false, "data": []}', _JSON),
    "ok_false": Response(200, b'{"ok": false}', _JSON),
    "status_error": Response(200, b'{"status": "error", "message": "try later"}', _JSON),
    "errors": Response(200, b'{"errors": [{"index": 0, "message": "bad"}]}', _JSON),
    "errors_true": Response(200, b'{"errors": true, "items": []}', _JSON),
    "failed": Response(200, b'{"failed": [{"index": 0}]}', _JSON),
    "rejected": Response(200, b'{"accepted": 1, "rejected": 1}', _JSON),
    "byte_order_mark": Response(200, b'\xef\xbb\xbf{"success": false}', _JSON),
    "203": Response(203),
    "205": Response(205),
    "206": Response(206, b'{"success": tr', _JSON),
    "207": Response(207, b'[{"status": 422}]', _JSON),
    "226": Response(226),
}
"""By the value of the switch `doubtful_success`."""
