"""Switches of the importer, in all of their positions; how files are taken where the guide says two things."""

import pytest


@pytest.fixture
def put(objects, table):
    return lambda text, name="file.csv": objects.put(f"{table['s3_path']}/{name}", text.encode()).key


@pytest.fixture
def imported(ask, table):
    """The history's last entry, and the table's profiles."""

    def imported():
        entry = ask.json("GET", f"/_emulator/uploads/{table['id']}")[-1]
        (found,) = (shown for shown in ask.control("state")["tables"] if shown["id"] == table["id"])
        return entry, found["profiles"]

    return imported


@pytest.fixture
def switch(ask):
    return lambda **switches: ask.json("PUT", "/_emulator/switches", switches)


@pytest.mark.parametrize(
    ("name", "column", "cell"),
    [
        ("exponents", "score", "1e5"),
        ("long_minimum", "LTV", "-9223372036854775808"),
        ("missing_z", "seen", "1999-01-01T00:00:00"),
        ("epoch_zero", "since", "0"),
    ],
)
@pytest.mark.parametrize("refuses", [False, True])
def test_cells_of_which_the_guide_says_two_things(ask, switch, put, imported, name, column, cell, refuses):
    switch(**{name: "refuse" if refuses else "accept"})
    put(f"customerId,{column}\na,{cell}\n")
    entry, profiles = imported()
    assert entry["status"] == ("failed" if refuses else "completed")
    assert bool(profiles) is not refuses
    assert name in ask.control("state")["switches_met"]


def test_a_row_may_be_dropped_for_an_exponent_without_a_word(switch, put, imported):
    switch(exponents="drop_row")
    put("customerId,score\na,1E5\nb,2.5\n")
    entry, profiles = imported()
    assert (entry["status"], entry["rows_processed"], entry["rows_failed"]) == ("completed", 1, 0)
    assert profiles == {"b": {"score": 2.5}}


@pytest.mark.parametrize(
    ("how", "status", "found"),
    [
        ("skip", "completed", {"LTV": 1, "vip": True}),
        ("clear", "completed", {"vip": True}),
        ("error", "failed", {"LTV": 1}),
    ],
)
def test_an_empty_cell(switch, put, imported, how, status, found):
    switch(empty_cells=how)
    put("customerId,LTV\na,1\n", "1.csv")
    put("customerId,LTV,vip\na,,true\n", "2.csv")
    entry, profiles = imported()
    assert (entry["status"], profiles) == (status, {"a": found})


@pytest.mark.parametrize(
    ("how", "status", "value"), [("last", "completed", 2), ("first", "completed", 1), ("error", "failed", None)]
)
def test_a_customer_who_comes_twice(switch, put, imported, how, status, value):
    switch(duplicate_ids=how)
    put("customerId,LTV\na,1\na,2\n")
    entry, profiles = imported()
    assert (entry["status"], profiles.get("a", {}).get("LTV")) == (status, value)


@pytest.mark.parametrize(("how", "status"), [("skip", "completed"), ("refuse", "failed")])
def test_a_byte_order_mark(switch, put, imported, how, status):
    switch(byte_order_mark=how)
    put("\ufeffcustomerId,LTV\na,1\n")
    assert imported()[0]["status"] == status


@pytest.mark.parametrize(
    ("how", "statuses"),
    [("by_name", ["completed", "failed"]), ("content", ["completed", "completed"]), ("never", ["failed", "failed"])],
)
def test_tabs(switch, put, imported, how, statuses):
    switch(tabs=how)
    found = []
    for name in ("a.tsv", "a.csv"):
        put("customerId\tLTV\na\t1\n", name)
        found.append(imported()[0]["status"])
    assert found == statuses


@pytest.mark.parametrize(("how", "value"), [("skip", "x"), ("keep", " x")])
def test_spaces_after_a_comma(ask, switch, put, imported, how, value):
    switch(leading_spaces=how)
    put("customerId,most_viewed_category,LTV\na, x,1\n")
    assert imported()[1] == {"a": {"most_viewed_category": value, "LTV": 1}}
    assert "leading_spaces" in ask.control("state")["switches_met"]


def test_a_comma_and_a_space_in_quotes_meet_no_switch(ask, put, imported):
    put('customerId,most_viewed_category\na,"x, y"\n')
    assert imported()[1] == {"a": {"most_viewed_category": "x, y"}}
    assert "leading_spaces" not in ask.control("state")["switches_met"]


@pytest.mark.parametrize("cell", ['a"b', '"a"b', 'a"', '"a""'])
def test_a_quote_that_is_not_doubled_in_a_cell_in_quotes_fails_the_file(put, imported, cell):
    put(f"customerId,most_viewed_category\n1,{cell}\n")
    entry, profiles = imported()
    assert (entry["status"], profiles) == ("failed", {})
    assert "cannot be read" in entry["message"]


def test_a_switch_is_met_only_where_it_matters(ask, put, imported):
    put("customerId,LTV,vip\na,1,true\n")
    imported()
    met = set(ask.control("state")["switches_met"])
    assert not met & {
        "bool_case",
        "row_failure",
        "empty_cells",
        "tabs",
        "byte_order_mark",
        "duplicate_ids",
        "exponents",
    }
