"""Lists that come in pages, which nobody documents: they are read to the end, or refused."""

import pytest

from optimove_provider.clients.drive import run
from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import profiles
from optimove_provider.contract.wire import answers
from optimove_provider.contract.wire.errors import Refused, UnreadableAnswer
from optimove_provider.contract.wire.messages import Response, json_body
from optimove_provider.contract.wire.paging import next_page


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("", None),
        ('<https://host/list?page=2>; rel="next"', "https://host/list?page=2"),
        ("<?page=2>;rel=next", "?page=2"),
        ('</a>; rel="prev", </list?ids=1,2>; title="a,b;rel=x"; rel="last next"', "/list?ids=1,2"),
        ("</b>; REL=Next", "/b"),
        ('</b>; rel = "next" ,', "/b"),
        ("</b>; rel=next, </b>; rel=next", "/b"),
        ('</b>; title="rel=next"; rel=prev', None),
        ('</b>; title=";rel=next"', None),
        ("no link at all", None),
    ],
)
def test_the_next_page_is_what_a_link_header_says(link, target):
    assert next_page(link) == target


@pytest.mark.parametrize(
    "link",
    [
        "/b; rel=next",
        "</b; rel=next",
        "</a>; rel=next, </b>; rel=next",
        "<>; rel=next",
        "</a>; rel=prev; </b>; rel=next",
        f"</{'a' * 2000}>; rel=next",
    ],
)
def test_what_cannot_be_read_and_may_name_a_next_page_is_no_last_page(link):
    with pytest.raises(ValueError, match="no "):
        next_page(link)


def page(names, link=""):
    services = [{"id": number, "name": str(number)} for number in names]
    return Response(200, json_body(services), {"link": link} if link else {})


def converse(flow, *pages):
    asked, left = [], iter(pages)

    def send(request):
        asked.append(request)
        return next(left)

    return run(flow, send), asked


def test_a_list_is_read_to_its_last_page():
    found, asked = converse(dcp.list_services(), page([1, 2], "<?page=2>; rel=next"), page([3], "<?page=1>; rel=prev"))
    assert [service.id for service in found] == [1, 2, 3]
    assert [(request.method, request.url, request.page) for request in asked] == [
        ("GET", "/dcp_services", ""),
        ("GET", "/dcp_services", "?page=2"),
    ]


@pytest.mark.parametrize(
    ("pages", "lacks"),
    [
        (
            [page([1], "<?2>; rel=next"), page([2], "<?2>; rel=next")],
            "an end: its next page is one that was read before",
        ),
        ([page([1], "</2; rel=next")], "a Link header that can be read"),
        ([page([1], "<?2>; rel=next"), Response(200, b"{}")], "a JSON array"),
        ([page([1], "<?2>; rel=next"), page([True])], "id is true or false"),
    ],
)
def test_a_list_without_an_end_that_can_be_read_is_refused_whole(pages, lacks):
    with pytest.raises(UnreadableAnswer, match=r"list_services.*lacks") as caught:
        converse(dcp.list_services(), *pages)
    assert lacks in str(caught.value)


def test_a_page_that_is_not_there_is_no_end():
    with pytest.raises(Refused):
        converse(dcp.list_services(), page([1], "<?2>; rel=next"), Response(404))
    with pytest.raises(Refused):
        converse(profiles.read_consolidated_view(1, 2, "u"), page([], "<?2>; rel=next"), Response(404))


def test_pages_have_an_end(monkeypatch):
    monkeypatch.setattr(answers, "MAX_PAGES", 3)
    endless = (page([number], f"<?{number}>; rel=next") for number in range(1, 9))
    with pytest.raises(UnreadableAnswer, match="an end within 3 pages"):
        converse(dcp.list_services(), *endless)
    monkeypatch.setattr(answers, "MAX_LIST_BYTES", 10)
    with pytest.raises(UnreadableAnswer, match="and 10 bytes"):
        converse(dcp.list_services(), page([1], "<?2>; rel=next"), page([2], "<?3>; rel=next"))


def test_a_history_is_read_to_its_last_page_too():
    first = Response(200, b'[{"file": "a", "status": "completed"}]', {"link": "<?2>; rel=next"})
    found, asked = converse(dcp.upload_history(1, ["b"]), first, Response(200, b'[{"file": "b", "status": "failed"}]'))
    assert [entry.file for entry in found] == ["a", "b"]
    assert asked[1].page == "?2"
