"""Addresses of pages: plain text, right behind a path of Airflow's, and never with more than an id."""

import pytest

from optimove_provider.addresses import load_page, prefix_of, rejected_page
from optimove_provider.links.load import LINKS, VendorLink

ID = "0b1e2c9e-6f0e-5d0a-9d3b-7f6f2f0e6b11"


@pytest.mark.parametrize(
    ("base_url", "page"),
    [
        ("", f"/plugin/optimove_nav/optimove/load?id={ID}"),
        ("http://localhost:8080", f"/plugin/optimove_nav/optimove/load?id={ID}"),
        ("https://host/team/airflow/", f"/team/airflow/plugin/optimove_nav/team/airflow/optimove/load?id={ID}"),
    ],
)
def test_the_page_of_a_load_is_the_one_within_airflows_interface(base_url, page):
    assert load_page(prefix_of(base_url), ID) == page
    assert rejected_page(prefix_of(base_url), ID) == page.replace("/load?", "/rejected?")


def test_an_id_that_is_none_makes_no_other_address():
    assert load_page("", "x&id=../y#z").endswith("/load?id=x%26id%3D..%2Fy%23z")


class Ti:
    """What a link reads of a running task: its XComs."""

    task_id, map_index = "load", 3

    def __init__(self, account):
        self._told = {"load_id": ID, "account": account}

    def xcom_pull(self, task_ids, key, map_indexes):  # as a worker's
        return self._told[key] if (task_ids, map_indexes) == ("load", 3) else None


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ({"optix": "u", "host": "https://api.opti-x.optimove.net/api"}, "https://developer.optimove.com/docs/"),
        ({"dcp": 7, "host": "https://www.optimizelyapis.com/experiment/v1"}, "https://app.optimizely.com/"),
        ({"dcp": 7, "host": "https://proxy.internal:8443/secret/path"}, "https://app.optimizely.com/"),
        ({"dcp": 7, "host": "http://127.0.0.1:8099/experiment/v1"}, "http://127.0.0.1:8099/"),
    ],
)
def test_the_vendors_interface_is_known_by_the_target_and_shows_nothing_of_it(target, address):
    link = VendorLink().get_link(None, ti_key=Ti({"target": target}))
    assert link.startswith(address)
    assert "7" not in link.replace("127", "")
    assert "secret" not in link


def test_after_a_task_that_was_killed_at_once_there_is_nothing_to_show():
    ti = Ti({})
    ti._told = {"load_id": None, "account": None}
    assert {link.get_link(None, ti_key=ti) for link in LINKS} == {""}
