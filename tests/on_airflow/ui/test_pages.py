"""The pages, of real loads, as Airflow's own API server gives them."""

import csv
import io
import re
from html import unescape
from pathlib import Path

import pytest

from optimove_provider import addresses
from optimove_provider.contract.wire.evidence import Evidence
from optimove_provider.loads.report.begun import tell_begun
from optimove_provider.loads.report.report import Report
from optimove_provider.operators.optix_expire import OptixExpireOperator
from optimove_provider.tasks.staging import staging
from tests.on_airflow.ui.conftest import DAGS
from tests.support.running import context
from tests.support.ui.pages import ADMIN, Browser

ROWS = [{"id": n, "name": "poison" if n == 2 else f"<b>{n}</b>"} for n in range(1, 5)]


@pytest.fixture
def shown_records(monkeypatch):
    monkeypatch.setenv("AIRFLOW__OPTIMOVE__SHOW_RECORDS", "True")


def text_of(page):
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


def test_airflow_lists_the_page_and_the_tabs(admin):
    (plugin,) = [one for one in admin.get("/api/v2/plugins").json()["plugins"] if one["name"] == "optimove"]
    assert [view["destination"] for view in plugin["external_views"]] == [
        "nav",
        "dag",
        "dag_run",
        "task",
        "task_instance",
    ]
    assert not any(view["href"].startswith("/") for view in plugin["external_views"])
    assert admin.get("/optimove/static/icon.svg").status_code == 200


def test_a_load_is_listed_with_its_counts_and_its_task(admin, upload, connection):
    upload(ROWS, dag_id=DAGS[1])
    words = text_of(admin.page())
    assert f"committed Opti-X {connection[:8]}… sync_people.upload full 4 3 1 0 0 0" in words
    assert "Unchanged Stale Unsent" in words


def test_what_was_made_to_expire_and_what_was_left_out_is_told(admin, upload, connection):
    upload(ROWS[2:])
    expires = OptixExpireOperator(
        task_id="expire", data_connection_uuid=connection, primary_key="id", keys=["3"], suppress=True
    )
    about = context(expires)
    about["ti"].dag_id = DAGS[0]
    removed = expires.execute(about)
    left_out = upload(ROWS[2:])
    page = text_of(admin.page("load", id=removed["load_id"]))
    assert "1 record was made to expire" in page
    assert f"key by key in {staging().url('reports')}/{removed['load_id']}.expired.jsonl" in page
    page = text_of(admin.page("load", id=left_out["load_id"]))
    assert "suppressed: left out, as their keys are on the suppression list 1" in page
    target = staging().read(f"reports/{removed['load_id']}.json")["target"]
    page = text_of(admin.page("target", kind="optix", id=connection, host=target["host"]))
    assert "Suppressed 1 key: no load brings it" in page
    assert "Unchanged Stale Suppressed Unsent" in text_of(admin.page())


def test_loads_are_chosen(admin, upload):
    upload(ROWS[2:], dag_id=DAGS[1])
    upload(ROWS[2:])
    upload(ROWS[2:], mode="changed", source_is="delta")
    of_task = {"dag_id": DAGS[0], "task_id": "upload"}
    for query, count in [
        ({}, 3),
        ({"dag_id": DAGS[0]}, 2),
        ({"dag_id": DAGS[1]}, 1),
        ({"state": "nothing_to_send"}, 1),
        ({"state": "died"}, 0),
        ({"target": "dcp:1"}, 0),
        ({**of_task, "map_index": "{MAP_INDEX}"}, 2),  # as Airflow leaves it where a task is not mapped
        ({**of_task, "map_index": "3"}, 0),
        ({**of_task, "run_id": "no such run"}, 0),
    ]:
        assert admin.page(**query).count('<th scope="row">') == count, query


def test_a_loads_page_tells_its_story(admin, upload):
    first = upload(ROWS)
    page = text_of(admin.page("load", id=first["load_id"]))
    for told in (
        "accepted: taken by the vendor (counted) 3",
        "rejected: kept with their reasons 1",
        "Ledger version",
        "Batch",
        "Requests",
    ):
        assert told in page
    assert "sync_orders.upload" in page


def test_pages_tell_what_is_owed(admin, upload, connection):
    first = upload(ROWS, resend_rejected=True)
    assert "newly owed 1" in text_of(admin.page("load", id=first["load_id"]))
    newest = upload(ROWS, source_is="delta", resend_rejected=True)
    page = text_of(admin.page("load", id=newest["load_id"]))
    assert "1 dropped: the load has a row of their key" in page
    host = re.search(r"host=([^\"&]+)", admin.page())[1]
    target = text_of(admin.get(f"/optimove/target?kind=optix&id={connection}&host={host}").text)
    assert f"1 row that the vendor refused: airflow optimove ledger owed {connection}" in target
    with open(newest["report"].removeprefix("file://").replace(".json", ".html")) as report:
        assert "Owed rows" in report.read()


def test_a_loads_page_says_who_counted_the_accepted_rows_and_names_none(admin):
    run = {"dag_id": DAGS[0], "task_id": "upload", "run_id": "r", "map_index": -1, "try_number": 1}
    about = {"state": "uploaded", "rows": 9, "accepted": 9, "run": run}
    report = Report("22222222-0000-4000-8000-000000000000", {"dcp": "7", "host": "h"}, **about)
    for evidence, told in (
        (Evidence("sampled", 2, 9), "(sampled 2 of 9) 9"),
        (Evidence("none", why="1 was overwritten by others since ('c0')"), "(counted by nobody) 9"),
    ):
        report.tell_evidence(evidence)
        report.file(staging())
        page = text_of(admin.page("load", id=report.load_id))
        assert f"accepted: taken by the vendor {told}" in page
        assert "c0" not in page


def test_a_loads_page_leads_to_where_the_vendor_shows_it(admin, emulator, upload):
    assert f'data-airflow="{emulator.url}/"' in admin.page("load", id=upload(ROWS)["load_id"])


def test_findings_are_told_by_rule_with_examples_and_their_values_only_if_a_setting_says_so(admin, upload, monkeypatch):
    rows = [{"id": key, "name": "x"} for key in ("KUNDE 1", "kunde 1", "n/a")]
    load_id = upload(rows)["load_id"]
    page = admin.page("load", id=load_id)
    assert "id-null warning 1 row 3 column id : a marker of null" in text_of(page)
    assert "<code>n/a</code>" not in page
    monkeypatch.setenv("AIRFLOW__OPTIMOVE__SHOW_RECORDS", "True")
    assert "<code>n/a</code>" in admin.page("load", id=load_id)
    Path(staging().path(f"reports/{load_id}-findings.json")).unlink()
    assert "id-null warning 1 " in text_of(admin.page("load", id=load_id))


def test_samples_and_contents_are_shown_only_if_a_setting_says_so(admin, upload, monkeypatch):
    upload([{"id": 3, "name": "before"}])
    result = upload([{"id": 3, "name": "after"}, {"id": 4, "name": "poison pill"}], mode="changed", source_is="delta")
    pages = [("load", "before"), ("rejected", "poison pill"), ("rejected.csv", "poison pill")]
    for page, secret in pages:
        assert secret not in unescape(admin.page(page, id=result["load_id"]))
    monkeypatch.setenv("AIRFLOW__OPTIMOVE__SHOW_RECORDS", "True")
    for page, secret in pages:
        assert secret in unescape(admin.page(page, id=result["load_id"]))


def test_rejected_rows_are_read_filtered_and_downloaded(admin, upload):
    result = upload([{"id": None if n % 2 else n, "name": "well"} for n in range(1, 140)], max_rejected=100)
    page = admin.page("rejected", id=result["load_id"])
    assert page.count('<th scope="row"') == 25
    assert 'rel="next"' in page
    assert admin.page("rejected", id=result["load_id"], page=3).count('<th scope="row"') == 20
    assert "No reason contains that" in admin.page("rejected", id=result["load_id"], q="no such reason")
    found = list(csv.DictReader(io.StringIO(admin.page("rejected.csv", id=result["load_id"]))))
    assert [row["row"] for row in found] == [str(n) for n in range(1, 140, 2)]
    assert all(row["reason"] for row in found)


def test_what_comes_from_data_is_escaped(admin, upload, shown_records):
    upload([{"id": 1, "name": "<script>alert(1)</script>"}])
    result = upload(
        [{"id": 1, "name": "<img src=x>poison"}, {"id": 2, "name": "<i>"}], mode="changed", source_is="delta"
    )
    for path in ("load", "rejected"):
        page = admin.page(path, id=result["load_id"])
        assert "<img" not in page
        assert "<i>" not in page
        assert "alert(1)</script>" not in page


def test_a_targets_page_has_a_chart_in_words_too(admin, upload, connection):
    upload(ROWS)
    result = upload(ROWS, mode="changed", source_is="delta")
    host = re.search(r"host=([^\"&]+)", admin.page())[1]
    answer = admin.get(f"/optimove/target?kind=optix&id={connection}&host={host}")
    assert answer.text.count("<rect") == 4
    assert 'role="img"' in answer.text
    assert "3 accepted, 0 unchanged, 1 rejected" in answer.text
    assert f"load?id={result['load_id']}" in answer.text
    assert "just now" in text_of(answer.text)


def test_a_record_is_found_by_its_key(admin, upload, connection, shown_records):
    upload([{"id": n, "name": "old"} for n in range(3, 23)])
    upload([{"id": 3, "name": "new"}], ttl_seconds=86400)
    host = re.search(r"host=([^\"&]+)", admin.page())[1]

    def record(key):
        return text_of(admin.get(f"/optimove/record?kind=optix&id={connection}&host={host}&key={key}").text)

    page = record("3")
    assert page.index("What counts: accepted, and there") < page.index('"new"') < page.index('"old"')
    assert "it does not expire" in page
    assert "no such key" in record("2")


def test_every_table_and_field_is_named_for_who_cannot_see_them(admin, upload, connection):
    result = upload(ROWS)
    pages = [admin.page(), admin.page("load", id=result["load_id"]), admin.page("rejected", id=result["load_id"])]
    for page in pages:
        assert page.count("<h1>") == 1
        assert page.count("<table") == page.count("<caption>")
        assert '<html lang="en">' in page
        assert not re.findall(r"<th\b(?! scope)", page)
        for field in re.findall(r"<(?:select|input(?! type=.hidden))[^>]*>", page):
            assert re.search(rf"<label>[^<]+{re.escape(field)}", page), field


def test_links_are_right_behind_a_base_path(server, upload):
    result = upload(ROWS)
    page = Browser(server, ADMIN, "/pre").page("load", id=result["load_id"])
    assert 'href="/pre/optimove/static/page.css"' in page
    assert 'href="/pre/dags/sync_orders/runs/' in page
    assert not re.findall(r'href="/(?!pre/)', page)


def test_a_page_has_an_address_within_airflow():
    prefix = addresses.prefix_of("https://example.com/pre/")
    assert addresses.load_page(prefix, "a b") == "/pre/plugin/optimove_nav/pre/optimove/load?id=a+b"
    assert (
        addresses.rejected_page(addresses.prefix_of("http://host"), "1")
        == "/plugin/optimove_nav/optimove/rejected?id=1"
    )


def test_a_load_that_has_told_nothing_is_found(admin, emulator):
    run = {"dag_id": DAGS[0], "task_id": "upload", "run_id": "gone", "map_index": -1, "try_number": 1}
    tell_begun(staging(), Report("11111111-0000-4000-8000-000000000000", {"optix": "u", "host": "h"}, run=run))
    assert "begun, and nothing told since" in text_of(admin.page())
    assert "Airflow does not know its task any more" in admin.page("load", id="11111111-0000-4000-8000-000000000000")
