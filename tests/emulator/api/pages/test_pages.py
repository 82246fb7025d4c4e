"""The pages of an emulator: what they show of what it holds, and what their forms do."""

import html
import json
import re
from html.parser import HTMLParser
from urllib.parse import urlencode

import pytest

from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.emulator.api.pages.examples import FAULTS, SWITCHES

ROWS = (*optix.ENDPOINTS, *dcp.ENDPOINTS)
BATCH = "7f4cdd7e-5a80-4b62-a6b3-12a8a5a12c59"
EVIL = '<script>alert("x")</script>'
VOID = {"meta", "input", "br", "link"}


class Structure(HTMLParser):
    """Checks that elements are closed in their order, and collects what a screen reader needs."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.labels, self.fields, self.forms = [], [], [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if tag == "a" else []
        self.labels += [found["for"]] if tag == "label" and "for" in found else []
        self.forms += [found] if tag == "form" else []
        if tag in ("input", "textarea") and found.get("type") != "hidden":
            self.fields.append(found.get("id") if "label" not in self.open else True)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def page(ask):
    """The text of a page that is well-formed, has a language, no script, and links that lead somewhere."""

    def page(path="", status=200):
        answer = ask("GET", f"/_emulator/{path}")
        assert answer.status == status, answer.text
        assert answer.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert '<html lang="en">' in answer.text
        assert "<script" not in answer.text
        found = Structure(answer.text)
        assert len(found.ids) == len(set(found.ids))
        assert all(link[1:] in found.ids for link in found.links if link.startswith("#"))
        assert all(field is True or field in found.labels for field in found.fields)
        for link in {link for link in found.links if link.startswith("/")}:
            assert ask("GET", link).ok
        return answer.text

    return page


@pytest.fixture
def send_form(ask):
    def send_form(name, **fields):
        answer = ask("POST", f"/_emulator/{name}", body=urlencode(fields).encode())
        return answer

    return send_form


def shown(page, number):
    """The cells of the rows of the page's n-th table, as texts."""
    table = re.findall(r"<tbody>(.*?)</tbody>", page, re.DOTALL)[number]
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    return [[html.unescape(re.sub(r"<[^>]+>", "", cell)).strip() for cell in row] for row in cells]


def test_an_empty_emulator_says_how_something_gets_there(page):
    assert "A DAG that creates a data connection or a table makes it appear here." in page()
    assert "Everything is gone when the emulator stops." in page()


def test_the_start_page_lists_every_row_and_marks_what_is_assumed(page):
    lines = page().splitlines()
    for row in ROWS:
        (line,) = (line for line in lines if f"<code>{row.api}.{row.name}</code>" in line)
        assert html.unescape(line.rpartition("<td>")[2]).partition("</td>")[0].endswith(row.source)
        assert ("<mark>" in line) == row.source.startswith("assumed")


def test_it_counts_what_it_holds_and_leads_to_it(ask, page, objects, connection, table):
    ask.json("POST", f"{connection}/upload_data", {"data": [{"id": key} for key in range(120)]})
    ask.json("POST", f"{connection}/upload_data", {"data": [{"id": 1}], "batch_completed": False, "batch_uuid": BATCH})
    objects.put(f"{table['s3_path']}/good.csv", b"customerId,vip\n1,true\n2,false\n")
    objects.put(f"{table['s3_path']}/bad.csv", b"customerId,vip\n1,perhaps\n")
    start = page()
    uuid = connection.rpartition("/")[2]
    assert shown(start, 0) == [["My Data Connection", "120", "1", "1", "2", "id", uuid]]
    assert shown(start, 1)[-1] == ["My table", "2", "7", "1 completed, 1 failed", "My service", str(table["id"])]
    assert shown(start, 2)[0] == ["upload_data", "POST", f"{connection}/upload_data", "1", "200"]
    assert 'href="/_emulator/requests"' in start


def test_records_are_shown_page_by_page_and_by_key(ask, page, connection):
    ask.json(
        "POST", f"{connection}/upload_data", {"data": [{"id": n, "x": EVIL} for n in range(120)], "ttl_seconds": 60}
    )
    path = f"connections/{connection.rpartition('/')[2]}"
    assert len(shown(page(path), 0)) == 50
    last = page(f"{path}?page=3")
    assert len(shown(last, 0)) == 20
    assert "Page 3 of 3" in last
    assert shown(last, 0)[-1] == ["119", json.dumps({"id": 119, "x": EVIL}), "2023-11-14 22:14:20 UTC"]
    assert "alert(" in html.unescape(last)
    assert [row[0] for row in shown(page(f"{path}?key=7"), 0)] == ["7"]
    assert "There is no record of the key &lt;b&gt;" in page(f"{path}?key=%3Cb%3E")
    for odd in ("page=0", "page=-1", "page=x", "page=99999999999", "page=99", "nothing"):
        page(f"{path}?{odd}")


def test_a_table_shows_profiles_attributes_and_files(ask, page, objects, table):
    objects.put(f"{table['s3_path']}/good.csv", b"customerId,vip\n1,true\n2,false\n")
    objects.put(f"{table['s3_path']}/bad.csv", b"customerId,vip\n1,perhaps\n")
    found = page(f"tables/{table['id']}")
    assert shown(found, 0) == [["1", '{"vip": true}'], ["2", '{"vip": false}']]
    assert ["born", "datetime", "yyyy-mm-dd"] in [row[:3] for row in shown(found, 1)]
    bad, good = shown(found, 2)
    assert (bad[1], good[1], good[2]) == ("failed", "completed", "2")
    assert "perhaps" in bad[5]
    assert shown(page(f"tables/{table['id']}?key=2"), 0) == [["2", '{"vip": false}']]


def test_a_record_that_expires_after_the_last_year_of_calendars_is_shown(page, ask, connection):
    ask.json("POST", f"{connection}/upload_data", {"data": [{"id": 1}], "ttl_seconds": 10**18})
    assert "after the year 9999" in page(f"connections/{connection.rpartition('/')[2]}")


@pytest.mark.parametrize("path", ["connections/none", "tables/1", "tables/x"])
def test_what_is_not_there_is_404(ask, path):
    assert ask("GET", f"/_emulator/{path}").status == 404


@pytest.mark.parametrize("example", FAULTS, ids=lambda one: one.text[:40])
def test_every_example_of_an_order_is_taken_shown_and_withdrawn(page, ask, send_form, example):
    assert html.escape(example.text) in page().replace("&#34;", "&quot;")
    answer = send_form("order", order=example.text)
    assert (answer.status, answer.headers["location"]) == (303, "/_emulator/#orders")
    (order,) = ask.control("faults")
    found = page()
    assert "Withdraw" in found
    again = json.loads(html.unescape(re.findall(r"Open orders</h3>.*?<pre>(.*?)</pre>", found, re.DOTALL)[0]))
    left = {"skip": 1} if "every" in example.members else {}
    assert again == {"times": 1, **example.members, **left}
    assert send_form("withdraw", number=order["number"]).status == 303
    assert ask.control("faults") == []
    assert send_form("withdraw", number=order["number"]).status == 404


@pytest.mark.parametrize("example", SWITCHES, ids=lambda one: one.text)
def test_every_example_of_a_switch_is_set_shown_and_set_back(page, ask, send_form, example):
    before = ask.control("switches")
    assert send_form("switch", switches=example.text).headers["location"] == "/_emulator/#switches"
    assert ask.control("switches") == {**before, **example.members}
    found = page()
    (name,) = example.members
    assert f"Set {name} back to " in found
    back = html.unescape(
        re.findall(r'Set to something else now</h3>.*?name="switches" value="(.*?)"', found, re.DOTALL)[0]
    )
    send_form("switch", switches=back)
    assert ask.control("switches") == before


@pytest.mark.parametrize(
    ("name", "fields", "told"),
    [
        ("order", {"order": "{"}, "is no valid JSON"),
        ("order", {"order": '{"status": 99}'}, "status must be a number from 200 to 599"),
        ("order", {}, "is no valid JSON"),
        ("switch", {"switches": '{"latency_seconds": NaN}'}, "NaN is no JSON"),
        ("switch", {"switches": "[]"}, "a JSON object is expected"),
        ("switch", {"switches": '{"poisn": "x"}'}, "&#39;poisn&#39; is unknown"),
        ("withdraw", {"number": "x"}, "this is no valid form"),
    ],
)
def test_a_form_that_cannot_be_taken_says_why(ask, send_form, name, fields, told):
    answer = send_form(name, **fields)
    assert 400 <= answer.status < 500
    assert told in answer.text
    assert "Back to the emulator" in answer.text
    assert ask.control("faults") == []


def test_a_command_to_copy_names_the_emulator_as_it_was_asked(ask):
    headers = {"Host": "emulator:8099"}
    assert "http://emulator:8099/_emulator/faults" in ask("GET", "/_emulator/", headers=headers).text
