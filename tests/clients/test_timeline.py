"""The requests of a load, counted over time."""

import json

from optimove_provider.clients.timeline import KINDS, MOST, Timeline, total
from optimove_provider.contract.wire.messages import Lost, Response
from tests.support.optix_target import Target, numbered
from tests.support.virtual_time import ClientTime


def test_answers_are_counted_by_what_they_mean():
    timeline = Timeline(ClientTime().surroundings)
    for answer in (*(Response(status, b"") for status in (200, 204, 429, 503, 400, 500, 301)), Lost("gone")):
        timeline.see(answer)
    assert timeline.counts["spans"] == {"0": {"answered": 2, "throttled": 2, "refused": 1, "failed": 2, "lost": 1}}
    assert set(timeline.counts["spans"]["0"]) == set(KINDS)


def test_spans_are_few_however_long_a_load_lasts():
    time = ClientTime()
    timeline = Timeline(time.surroundings)
    for _ in range(500):
        timeline.see(Response(200, b""))
        time.surroundings.sleep(7)
    told = json.loads(json.dumps(timeline.counts))
    assert len(told["spans"]) <= MOST
    assert told["seconds"] * MOST >= 500 * 7
    assert sum(span["answered"] for span in told["spans"].values()) == 500


def test_processes_that_were_at_work_at_once_are_counted_as_one():
    time, others = ClientTime(), []
    for _ in range(3):
        timeline = Timeline(time.surroundings)
        for _ in range(20):
            timeline.see(Response(200, b""))
            time.surroundings.sleep(10)
        others.append(json.loads(json.dumps(timeline.counts)))
    own = Timeline(time.surroundings)
    own.go_on_from([])
    own.see(Response(429, b""))
    own.go_on_from(others)
    own.see(Lost("gone"))
    assert (total(own.counts), total(own.counts, "answered"), total(own.counts, "throttled")) == (62, 60, 1)
    assert own.counts["began"] == others[0]["began"]
    assert max(map(int, own.counts["spans"])) < MOST
    assert own.counts["seconds"] * MOST >= 600
    last = own.counts["spans"][str(600 // own.counts["seconds"])]
    assert (last["throttled"], last["lost"]) == (1, 1)


def test_a_report_has_the_requests_of_its_load(tmp_path):
    target = Target(tmp_path)
    target.load(numbered(8, poison=[3]), max_rejected=1)
    filed = target.staging.read(f"reports/{target.report.load_id}.json")["requests"]
    assert total(filed) == total(filed, "answered") == len(target.bodies) + 1  # and the one that made the connection
