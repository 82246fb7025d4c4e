"""Nothing older over newer in a table: profiles and imports, full deltas, and feeds of other columns."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.loads.dcp.columns import OtherColumns
from optimove_provider.loads.dcp.invalidation import OverwritesNewer
from optimove_provider.loads.dcp.load import run
from optimove_provider.loads.dcp.options import ChangedOptions
from optimove_provider.loads.ledger.lease import TargetBusy, acquired
from optimove_provider.loads.ledger.ledger import ledger_of
from optimove_provider.loads.profiles.profile_turn import profile_turn
from optimove_provider.loads.profiles.profiles import ProfileEncoder, write_profiles
from optimove_provider.loads.profiles.rest_load import RestLoad
from optimove_provider.loads.report.report import Report
from optimove_provider.options import Guards
from optimove_provider.surroundings import REAL
from tests.support import s3_target
from tests.support.dcp.profiles import ATTRIBUTES, client, load, state, table
from tests.support.dcp_imports import another, full
from tests.support.dcp_imports import load as load_changed

s3, target = s3_target.s3, s3_target.target  # fixtures
__all__ = ["client", "load", "state", "table"]  # fixtures
NOON, HOUR = datetime(2026, 5, 1, 12, tzinfo=UTC), timedelta(hours=1)
NO_GUARDS = Guards(max_changed_share=None, min_filled_share=None)
LTV, SINCE = b"customerId,ltv\n1,1\n2,1\n", b"customerId,since\n1,2026-01-01\n2,2026-01-01\n"
BOTH = b"customerId,since,ltv\n1,2026-01-01,1\n2,2026-01-01,1\n"


def delta(target, data, generation, **how):
    load = another(target)
    how = {"source_is": "delta", "guards": NO_GUARDS, **how}
    return load_changed(load, data, generation=generation, **how)


def written(client, table, load, ages, taken, load_id="load", **values):
    """Profiles of these ages that were taken from their source at an instant: the report."""
    report = Report(load_id, {})
    records = [{"customerId": key, "ltv": age, **values} for key, age in ages.items()]
    encoder = ProfileEncoder.to(ATTRIBUTES)
    write_profiles(client, client.read_table(table), records, encoder, RestLoad(load.staging, report, taken=taken))
    return report


def held(state, table):
    return {key: profile["ltv"] for key, profile in state.tables[table].profiles.items()}


def test_of_two_writes_the_one_that_was_read_later_stays(client, state, table, load):
    written(client, table, load, {"1": 2}, NOON + HOUR)
    report = written(client, table, load, {"1": 1, "2": 1}, NOON, "older")
    assert (report.state, report.accepted, report.stale) == ("committed", 1, 1)
    assert held(state, table) == {"1": 2, "2": 1}
    assert written(client, table, load, {"1": 3}, NOON + HOUR, "same instant").accepted == 1


def test_a_write_that_is_stale_as_a_whole_sends_nothing(client, state, table, load):
    written(client, table, load, {"1": 2}, NOON + HOUR)
    report = written(client, table, load, {"1": 1}, NOON, "older")
    assert (report.state, report.accepted, report.stale) == ("nothing_to_send", 0, 1)


def test_a_window_that_is_not_over_makes_a_write_no_newer_than_it_is(client, state, table, load):
    future = RestLoad(load.staging, Report("future", {}), taken=NOON, generation=NOON + 24 * HOUR)
    encoder = ProfileEncoder.to(ATTRIBUTES)
    write_profiles(client, client.read_table(table), [{"customerId": "1", "ltv": 1}], encoder, future)
    assert written(client, table, load, {"1": 2}, NOON + HOUR).accepted == 1


def test_what_is_written_later_counts_although_the_clock_was_behind(client, state, table, load):
    for ltv, seconds_ahead in ((1, 12), (2, -12)):
        now = partial(lambda ahead: REAL.now() + timedelta(seconds=ahead), seconds_ahead)
        place = replace(load.staging, surroundings=replace(REAL, now=now))
        ledger = ledger_of(place, "dcp", client.settings.host, str(table))
        later = RestLoad(place, Report(f"write {ltv}", {}), now=ledger.now)
        records = [{"customerId": "1", "ltv": ltv}]
        write_profiles(client, client.read_table(table), records, ProfileEncoder.to(ATTRIBUTES), later)
        assert (later.report.accepted, held(state, table)) == (1, {"1": ltv})


def test_a_write_waits_for_another_load_into_its_table(client, state, table, load):
    ledger = ledger_of(load.staging, "dcp", client.settings.host, str(table))
    with acquired(ledger.manifest_file, "another", 1), pytest.raises(TargetBusy):
        written(client, table, load, {"1": 1}, NOON)
    assert state.tables[table].profiles == {}


def test_a_refused_write_has_marked_its_keys_before(client, state, table, load):
    with pytest.raises(OptimoveProviderError):
        written(client, table, load, {"1": 1, "2": "much"}, NOON, "unfit")
    ledger = ledger_of(load.staging, "dcp", client.settings.host, str(table))
    assert ledger.read().version == 0  # nothing was sent
    written(client, table, load, {"1": 1}, NOON)
    assert ledger.read().rows == 1


# Full imports


@pytest.mark.parametrize("first", ["full", "changed"])
def test_an_older_delta_that_is_sent_whole_is_refused_where_it_would_overwrite(target, first):
    rows = b"customerId,ltv\n1,3\n"
    full(target, rows, 1, NOON) if first == "full" else delta(target, rows, NOON)
    there, older = target.stored(), another(target)
    with pytest.raises(OverwritesNewer, match=r"1 customers.*\"1\".*overwrite_newer"):
        full(older, b"customerId,ltv\n1,2\n2,2\n", 1, NOON - HOUR)
    assert (target.stored(), target.open_uploads()) == (there, [])


@pytest.mark.parametrize("data", [b"customerId,ltv\n3,1\n4,1\n", b"customerId,ltv\n"])
def test_an_older_delta_of_other_customers_is_imported(target, data):
    delta(target, LTV, NOON)
    assert full(another(target), data, 1, NOON - HOUR).stale == 0


def test_a_newer_one_and_one_of_the_same_window_are_imported(target):
    delta(target, LTV, NOON)
    for generation in (NOON, NOON + HOUR):
        assert full(another(target), LTV, 1, generation).state == "uploaded"


@pytest.mark.parametrize("source_is", ["delta", "snapshot"])
def test_what_is_newer_is_overwritten_if_that_is_meant(target, source_is):
    delta(target, LTV, NOON, source_is=source_is)
    older = another(target)
    report = older.report()
    how = {"generation": NOON - HOUR, "overwrite_newer": True}
    run(older.load(LTV, report, older.ledger, **how))
    assert (report.state, report.accepted, report.stale) == ("uploaded", 2, 0)


def test_an_older_full_import_does_not_overwrite_a_newer_profile(target, client, table, load):
    one = another(target)
    full(one, LTV, 1, NOON - 2 * HOUR)
    profiles = [(1, {}, ("1", {"ltv": 9.0}))]
    with profile_turn(one.ledger, RestLoad(one.staging, Report("profile", {}), taken=NOON))(profiles) as turn:
        assert len(turn.records) == 1
    with pytest.raises(OverwritesNewer, match="1 customers"):
        full(another(target), LTV, 1, NOON - HOUR)
    assert full(another(target), SINCE, 1, NOON - HOUR).state == "uploaded"  # writes another attribute


# Columns


def turn_of(target, taken, **values):
    """The turn of a write of one customer's profile."""
    load = RestLoad(target.staging, Report("profile", {}), taken=taken)
    return profile_turn(target.ledger, load)([(1, {}, ("1", values))])


@pytest.mark.parametrize("source_is", ["delta", "snapshot"])
def test_a_late_profile_is_refused_where_values_that_nothing_newer_has_would_be_lost(target, source_is):
    delta(target, LTV, NOON, source_is=source_is)
    with (
        pytest.raises(OtherColumns, match=r"1 row .* lack 'note'.*in a task each"),
        turn_of(target, NOON - HOUR, ltv=9.0, note="n"),
    ):
        pass
    with turn_of(target, NOON - HOUR, ltv=9.0) as turn:
        assert turn.records == []
    with turn_of(target, NOON - HOUR, note="n") as turn:
        assert len(turn.records) == 1


@pytest.mark.parametrize("nothing", [b"customerId,ltv\n", b"customerId\n"])
def test_a_load_without_any_row_has_no_newer_values(target, nothing):
    delta(target, BOTH, NOON)
    assert delta(target, nothing, NOON + HOUR).rows == 0
    assert delta(target, BOTH, NOON - HOUR).stale == 2


def test_late_rows_of_other_columns_are_refused_and_not_left_out(target):
    delta(target, LTV, NOON)
    there = target.stored()
    with pytest.raises(OtherColumns, match=r"2 rows .* lack 'since'.*overwrite_newer=True"):
        delta(target, SINCE, NOON - HOUR)
    assert (target.stored(), target.open_uploads()) == (there, [])
    assert delta(target, SINCE, NOON + HOUR).accepted == 2


def write_note(target, taken, key="1"):
    """Write an attribute that no import has; returns how many profiles were sent."""
    load = RestLoad(target.staging, Report("profile", {}), taken=taken)
    with profile_turn(target.ledger, load)([(1, {}, (key, {"note": "n"}))]) as turn:
        return len(turn.records)


def test_profiles_of_attributes_that_no_import_has_are_ordered_and_make_no_import_stale(target):
    delta(target, LTV, NOON - 3 * HOUR)
    assert [write_note(target, NOON + hours * HOUR) for hours in (0, -1, 1)] == [1, 0, 1]
    assert write_note(target, NOON - HOUR, key="2") == 1
    assert delta(target, LTV.replace(b"1\n", b"2\n"), NOON - 2 * HOUR).accepted == 2
    with turn_of(target, NOON, since="2026-01-01") as turn:  # of another attribute, and newer is only the note
        assert len(turn.records) == 1
    assert [write_note(target, NOON + hours * HOUR) for hours in (0.5, 2)] == [0, 1]


def test_profiles_are_ordered_by_an_attribute_that_no_import_has_though_there_was_no_import_yet(target):
    assert write_note(target, NOON) == 1
    delta(target, LTV, NOON + HOUR)
    assert [write_note(target, NOON + hours * HOUR) for hours in (-1, 1)] == [0, 1]


def test_profiles_are_ordered_by_an_attribute_that_no_import_has_whatever_else_they_write(target):
    delta(target, LTV, NOON - 3 * HOUR)
    with turn_of(target, NOON, ltv=1.0, note="n") as turn:
        assert len(turn.records) == 1
    assert [write_note(target, NOON + hours * HOUR) for hours in (-1, 1)] == [0, 1]


def test_an_attribute_that_imports_have_is_ordered_by_their_ledger_alone(target):
    """Of a profile that was written before there was one, the second ledger has it too."""
    with turn_of(target, NOON, ltv=1.0):
        pass
    delta(target, b"customerId,ltv\n3,1\n", NOON + HOUR)
    assert write_note(target, NOON + 2 * HOUR, key="2") == 1
    assert delta(target, LTV, NOON - HOUR).accepted == 1  # of customer 2, of whom only the note is newer


@pytest.mark.parametrize("load_of", ["full", "changed"])
def test_the_first_import_of_an_attribute_does_not_overwrite_profiles_that_are_newer(target, load_of):
    delta(target, LTV, NOON - 3 * HOUR)
    write_note(target, NOON)
    rows, there = b"customerId,note\n1,old\n", target.stored()
    older, newer = NOON - HOUR, NOON + HOUR
    with pytest.raises((OtherColumns, OverwritesNewer), match=r'1 customers, such as "1"'):
        full(another(target), rows, 1, older) if load_of == "full" else delta(target, rows, older)
    assert (target.stored(), target.open_uploads()) == (there, [])
    assert full(another(target), b"customerId,note\n2,old\n", 1, older).accepted == 1
    load = full(another(target), rows, 1, newer) if load_of == "full" else delta(target, rows, newer)
    assert load.accepted == 1
    with pytest.raises(OverwritesNewer):
        full(another(target), rows, 1, older)


def test_late_rows_of_fewer_columns_are_stale(target):
    delta(target, BOTH, NOON)
    assert delta(target, LTV, NOON - HOUR).stale == 2


def test_a_full_import_of_other_columns_overwrites_nothing_however_late_it_is(target):
    delta(target, LTV, NOON)
    assert full(another(target), SINCE, 1, NOON - HOUR).state == "uploaded"
    report = delta(target, LTV, NOON - HOUR / 2)  # the ages of the other columns are what they were
    assert (report.accepted, report.stale) == (0, 2)


def test_late_rows_that_a_snapshot_of_other_columns_would_hold_back_are_refused_by_name(target):
    delta(target, LTV, NOON, source_is="snapshot")
    with pytest.raises(OtherColumns, match="lack 'since'"):
        full(another(target), SINCE, 1, NOON - HOUR)
    with pytest.raises(OtherColumns, match="lack 'since'"):
        delta(target, SINCE, NOON - HOUR)
    assert full(another(target), LTV, 1, NOON - HOUR).stale == 2


def test_two_feeds_of_other_columns_that_a_guard_stops_are_named(target):
    rows = b"".join(b"%d,1\n" % number for number in range(30))
    delta(target, b"customerId,ltv\n" + rows, NOON)
    with pytest.raises(OtherColumns, match=r"also has 'note' and it lacks 'ltv'.*max_changed_share"):
        delta(target, b"customerId,note\n" + rows, NOON + HOUR, guards=Guards())


def test_the_order_and_spelling_of_columns_is_no_difference(target):
    delta(target, BOTH, NOON)
    same = b"CUSTOMERID,ltv,since\n1,1,2026-01-01\n2,1,2026-01-01\n"
    report = delta(target, same, NOON + HOUR)
    assert (report.accepted, report.unchanged) == (0, 2)


@pytest.mark.parametrize("how", ["full", "changed"])
def test_rows_that_are_sent_again_are_as_old_as_when_they_were_read_first(target, how):
    window = datetime.now(UTC) - HOUR
    first = window + timedelta(minutes=5)
    delta(target, LTV.replace(b",1", b",2"), window)  # of the same window, read after the rejected rows were
    if how == "changed":
        wanted = {"mode": "changed", "changed": ChangedOptions(source_is="delta", guards=NO_GUARDS)}
        again = another(target)
        report = again.report()
        run(again.load(LTV, report, again.ledger, generation=window, opened=first, **wanted))
        assert (report.stale, report.accepted) == (2, 0)
    else:
        with pytest.raises(OverwritesNewer):
            full(another(target), LTV, 1, window, opened=first)
