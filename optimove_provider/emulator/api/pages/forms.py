"""What the forms of the pages send: an order, a switch, an order withdrawn. Each leads back to the start page."""

from collections.abc import Callable
from urllib.parse import parse_qs

from optimove_provider.contract.wire.messages import Response
from optimove_provider.emulator.api.pages.pages import refused_page
from optimove_provider.emulator.api.routes import Call
from optimove_provider.emulator.replies import Refusal, read_json

BACK = "/_emulator/"


def taken(call: Call, field: str, take: Callable[[str], object], anchor: str) -> Response:
    """Hand a field of the form to `take`, and lead back; a page says why if that refuses it."""
    try:
        form = parse_qs((call.request.body or b"").decode("utf-8"), keep_blank_values=True, max_num_fields=10)
        (text,) = form.get(field, [""])
        take(text)
    except Refusal as refusal:
        return refused_page(refusal)
    except ValueError as error:
        return refused_page(Refusal(400, f"this is no valid form: {error}"))
    return Response(303, b"", {"location": f"{BACK}#{anchor}"})


def json_of(text: str) -> object:
    """The JSON of a field. Raises Refusal 400."""
    found: object = read_json(text.encode("utf-8", "replace"))
    return found
