"""Lists of several pages: each page is read where it is safe to ask for it, and else the list is refused."""

import json
import re
import time

import pytest

from optimove_provider.clients.dcp import DcpClient
from optimove_provider.clients.settings import DcpSettings
from optimove_provider.contract.wire import pages
from optimove_provider.contract.wire.errors import AuthenticationError, UnreadableAnswer
from optimove_provider.contract.wire.messages import MAX_LINK, Response

HOST = "https://www.example.com/experiment/v1"
FIRST = f"{HOST}/dcp_services"
TOKEN = "abc:never-shown"


class Server:
    """Gives one page for each URL: entries, and the Link header."""

    def __init__(self, by_url, name="link"):
        self.by_url, self.name, self.asked = by_url, name, []

    def __call__(self, request):
        self.asked.append(request)
        numbers, link = self.by_url[request.url]
        body = json.dumps([{"id": number, "name": f"n{number}"} for number in numbers]).encode()
        return Response(200, body, {self.name: link} if link else {})

    def ids(self):
        client = DcpClient(DcpSettings(conn_id="dcp", host=HOST, token=TOKEN), send=self)
        return [service.id for service in client.list_services()]


def refusal(server):
    with pytest.raises(UnreadableAnswer, match="lacks a next page that can be read") as caught:
        server.ids()
    assert TOKEN not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("link", "second"),
    [
        (f'<{FIRST}?page=2>; rel="next"', f"{FIRST}?page=2"),
        ("<?page=2>;rel=next", f"{FIRST}?page=2"),
        ("</experiment/v1/dcp_services?after=7>; rel=next", f"{FIRST}?after=7"),
        ("<dcp_services?cursor=a,b;c>; title=\"a, <b>; rel=prev\"; REL='x'", None),
        ('<dcp_services?cursor=a,b;c>; title="a, <b>; rel=prev"; REL="prev NEXT"', f"{FIRST}?cursor=a,b;c"),
        (f'<{FIRST}?page=9>; rel="last", , <{FIRST}?page=2#top> ; rel = "next"', f"{FIRST}?page=2"),
        ("<HTTPS://WWW.EXAMPLE.COM:443/experiment/v1/dcp_services?page=2>; rel=next", None),
        ("<?page=2>; rel='next'", f"{FIRST}?page=2"),
        ("<?page=2>; rel=\u201cnext\u201d", f"{FIRST}?page=2"),
        ("<?page=2>; rel=\u201cnext\u201d".encode().decode("latin-1"), f"{FIRST}?page=2"),
        ("<?page=2>; rel*=UTF-8''next", f"{FIRST}?page=2"),
        ("<?page=2>; rel*=UTF-8'en'n%65xt", f"{FIRST}?page=2"),
        ('<?page=2>; rel="next-archive"', ""),
        (f'<{FIRST}>; rel="self", <{FIRST}?page=0>; rel=prev; rel=next', ""),
        ("", ""),
    ],
)
def test_a_next_page_is_read_whatever_the_form_of_the_header(link, second):
    second = "https://WWW.EXAMPLE.COM:443/experiment/v1/dcp_services?page=2" if link.startswith("<HTTPS") else second
    server = Server({FIRST: ([1, 2], link), second: ([3], "")}, name="LINK")
    assert server.ids() == ([1, 2, 3] if second else [1, 2])
    assert {request.headers["Token"] for request in server.asked} == {TOKEN}


@pytest.mark.parametrize(
    ("link", "why"),
    [
        ('<https://evil.example/dcp_services?page=2>; rel="next"', r"another host \(https://evil.example\)"),
        ('<http://www.example.com/experiment/v1/dcp_services?page=2>; rel="next"', "another host"),
        ('<//evil.example/page>; rel="next"', "another host"),
        ('<https://www.example.com:8443/page>; rel="next"', "another host"),
        ('<https://www.example.com@evil.example/page>; rel="next"', "another host"),
        ('<https://me@www.example.com/page>; rel="next"', "another host"),
        ('<https://www.example.com\\@evil.example/page>; rel="next"', "address that is none"),
        ('<ftp://www.example.com/page>; rel="next"', "address that is none"),
        ('<https://www.example.com:port/page>; rel="next"', "address that is none"),
        ('<https://[/page>; rel="next"', "address that is none"),
        ('<>; rel="next"', "read before"),
        (f'<{FIRST}#more>; rel="next"', "read before"),
        ('<?page=2>; rel="next", <?page=3>; rel="next"', "names several"),
        ('?page=2; rel="next"', "none that can be understood"),
        ('<?page=2; rel="next"', "none that can be understood"),
        ('<?page=1>; rel="prev" <?page=2>; rel="next"', "none that can be understood"),
        ('<?page=2>; rel="next-page"', "none that can be understood"),
        ('<?page=2>; rel="https://example.com/relations/next"', "none that can be understood"),
        ("<?page=2>; rel='last next'", "none that can be understood"),
        (f'<?page=1>; rel="prev"{"," * MAX_LINK}', "none that can be understood"),
    ],
)
def test_a_next_page_that_cannot_be_read_refuses_the_list_and_sends_no_token(link, why):
    server = Server({FIRST: ([1, 2], link)})
    assert re.search(why, refusal(server))
    assert len(server.asked) == 1


@pytest.mark.parametrize("header", ["X-Next-Page", "x-next-cursor", "X-Continuation-Token"])
def test_a_next_page_that_another_header_names_refuses_the_list(header):
    assert f"its header {header.lower()} names one" in refusal(Server({FIRST: ([1, 2], "2")}, name=header))
    assert Server({FIRST: ([1, 2], " ")}, name=header).ids() == [1, 2]


def test_what_pages_have_in_common_is_there_once():
    second = f"{FIRST}?page=2"
    assert Server({FIRST: ([1, 2], f"<{second}>; rel=next"), second: ([2, 3], "")}).ids() == [1, 2, 3]


def test_pages_that_go_around_in_circles_end():
    server = Server({FIRST: ([1], "<?page=2>;rel=next"), f"{FIRST}?page=2": ([2], f"<{FIRST}>;rel=next")})
    assert "read before" in refusal(server)


class Endless(Server):
    def __init__(self, entries):
        self.entries, self.asked = entries, []

    def __call__(self, request):
        self.asked.append(request)
        body = json.dumps([{"id": 7, "name": "n"}] * self.entries).encode()
        return Response(200, body, {"link": f"<?page={len(self.asked)}>; rel=next"})


@pytest.mark.parametrize(
    ("entries", "limit", "most"), [(0, "MAX_PAGES", 9), (4, "MAX_ENTRIES", 9), (4, "MAX_BYTES", 300)]
)
def test_a_list_without_an_end_is_refused(monkeypatch, entries, limit, most):
    monkeypatch.setattr(pages, limit, most)
    server = Endless(entries)
    assert "no list is so long as this one" in refusal(server)
    assert len(server.asked) <= 9


def test_a_later_page_that_is_refused_fails_the_whole_list():
    class Lapsing(Endless):
        def __call__(self, request):
            return super().__call__(request) if not self.asked else Response(403)

    with pytest.raises(AuthenticationError):
        Lapsing(2).ids()


def test_odd_headers_take_no_time():
    began = time.monotonic()
    for odd in (
        "<" * 7000,
        '<a>;a="' * 1000,
        "<a>" + ";a=b " * 1400 + "!next",
        '<a>; rel="' + "\\" * 7000,
        "; " * 3500,
    ):
        pages._links(odd), list(pages._links(odd))
    assert time.monotonic() - began < 2


def test_a_history_goes_on_over_its_pages_with_its_own_token_only():
    url = "https://history.example/x?t=7"
    first, second = Response(200, b"[]", {"link": "<?t=7&page=2>; rel=next"}), Response(200, b"[]")
    asked, answers = [], [first, second]
    settings = DcpSettings(
        conn_id="dcp",
        host=HOST,
        token=TOKEN,
        upload_history_url=url.replace("7", "{table_id}"),
        upload_history_token="h",
    )

    def send(request):
        asked.append((request.url, dict(request.headers)))
        return answers.pop(0)

    DcpClient(settings, send=send).upload_outcome(7, [])
    assert asked == [(url, {"Authorization": "Bearer h"}), (f"{url}&page=2", {"Authorization": "Bearer h"})]


@pytest.mark.parametrize(
    "nothing", [Response(404, b"no"), Response(200), Response(200, b" null "), Response(200, b"[]")]
)
def test_a_user_whom_no_table_knows_has_an_empty_view_and_no_aliases(nothing):
    client = DcpClient(DcpSettings(conn_id="dcp", host=HOST, token=TOKEN), send=lambda _: nothing)
    assert client.read_consolidated_view(1, 2, "oeu") == []
    assert nothing.status == 200 or client.read_aliases(1, 2, "oeu") == {}
