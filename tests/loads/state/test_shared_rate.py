"""A connection's rate, kept to by all processes together."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from heapq import heapify, heappop, heappush

import pytest
from fsspec.implementations.local import LocalFileSystem
from hypothesis import given
from hypothesis import strategies as st

from optimove_provider.clients.optix import OptixClient
from optimove_provider.loads.state.shared_rate import SharedBudget, first_free, share_rate
from optimove_provider.loads.state.staging import Staging
from tests.support.optix_target import SETTINGS
from tests.support.virtual_time import VirtualTime


def settings(rate, conn_id="optix_default"):
    return replace(SETTINGS, requests_per_10s=rate, conn_id=conn_id)


def most_within(instants, seconds):
    instants = sorted(instants)
    return max(
        sum(1 for one in instants if start <= one < start + seconds - 1e-6) for start in instants
    )  # the spans that begin with a request


class Processes:
    """Some that send as fast as they may; each takes `pause` seconds for a request."""

    def __init__(self, folder, rate, count, behind=0.0):
        self.time = VirtualTime()
        surroundings = self.time.surroundings()
        stagings = [Staging(LocalFileSystem(), str(folder), surroundings) for _ in range(count)]
        self.budgets = [SharedBudget(one, settings(rate)) for one in stagings]

    def send(self, seconds, pause):
        """The instants of all requests."""
        waiting = [(0.0, number) for number in range(len(self.budgets))]
        heapify(waiting)
        sent = []
        while waiting[0][0] < seconds:
            at, number = heappop(waiting)
            self.time.elapsed = max(self.time.elapsed, at)
            sent.append(at + self.budgets[number].reserve())
            heappush(waiting, (sent[-1] + pause(), number))
        return sent


@pytest.mark.parametrize("rate", [1, 7, 50, 400])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_all_together_keep_to_the_rate_and_use_it(tmp_path, rate, count):
    chance = random.Random(rate * count)  # noqa: S311 - no secret
    sent = Processes(tmp_path, rate, count).send(60, lambda: chance.uniform(0, 0.05))
    assert most_within(sent, 10) <= rate
    assert len([one for one in sent if one < 60]) >= 0.8 * rate * 60 / 10


def test_one_that_pauses_leaves_the_rate_to_others(tmp_path):
    """What it was granted and does not use is not saved up."""
    found = Processes(tmp_path, 100, 2)
    slow, fast = found.budgets
    for _ in range(3):
        slow.reserve()
        found.time.elapsed += 30
    burst = []
    for budget in (fast, slow) * 100:
        burst.append(found.time.elapsed + budget.reserve())
    assert most_within(burst, 10) <= 100


def test_a_rate_below_one_in_ten_seconds(tmp_path):
    found = Processes(tmp_path, 0.5, 2)
    sent = found.send(200, lambda: 0)
    assert most_within(sent, 20) == 1
    assert len(sent) >= 9


@pytest.mark.parametrize("count", [2, 8, 24])
@pytest.mark.parametrize("seconds", [0.3, 1.0, 4.0])
def test_those_whose_requests_take_long_are_not_held_up_by_a_rate_that_they_do_not_reach(tmp_path, count, seconds):
    """What one is granted and does not use goes back: eight that want half of the rate together once got a tenth."""
    wanted = count / seconds
    rate = 20 * wanted
    sent = Processes(tmp_path, rate, count).send(60, lambda: seconds)
    assert most_within(sent, 10) <= rate
    assert len([one for one in sent if one < 60]) >= 0.9 * wanted * 60


@pytest.mark.parametrize("count", [3, 20])
def test_slow_and_fast_ones_use_the_rate_together(tmp_path, count):
    found = Processes(tmp_path, 400, count)
    pauses = [0.0 if number % 3 == 0 else 1.0 for number in range(count)]
    chance = random.Random(count)  # noqa: S311 - no secret
    sent = found.send(60, lambda: chance.choice(pauses))
    assert most_within(sent, 10) <= 400
    assert len([one for one in sent if one < 60]) >= min(0.75 * 400 * 6, 0.75 * count * 60)


def test_the_file_is_not_written_for_each_request(tmp_path):
    """Of one that sends 4 in a second, and may send 50."""
    found = Processes(tmp_path, 500, 1)
    written = set()
    for _ in range(240):
        found.time.elapsed += 0.25 + found.budgets[0].reserve()
        written.add(next((tmp_path / "rates").glob("*.json")).read_bytes())
    assert len(written) <= 40


GRANTS = st.lists(st.tuples(st.floats(0, 30), st.integers(1, 5), st.sampled_from((0.5, 2.0))), max_size=12)


@given(GRANTS, st.integers(1, 5), st.integers(5, 20))
def test_the_first_free_instant_is_in_turn_and_within_the_rate(recent, share, most):
    grants = []
    for now, count, lasts in sorted(recent):  # as they would have been granted
        at = first_free(grants, count, most, now)
        grants.append((at, count, at + lasts + 10))
    at = first_free(grants, share, most, 31)
    assert at >= 31
    assert at >= max((when for when, _, _ in grants), default=0)
    assert sum(count for _, count, until in grants if until > at) + share <= most


def test_connections_have_rates_of_their_own(tmp_path):
    staging = Staging(LocalFileSystem(), str(tmp_path), VirtualTime().surroundings())
    first, second = (SharedBudget(staging, settings(2, conn_id)) for conn_id in ("one", "two"))
    assert [first.reserve(), first.reserve(), second.reserve(), second.reserve()] == [0, 0, 0, 0]
    assert first.reserve() > 9


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[[1]]", b'{"a": 1}', b'[[9e15, 50, "a", 0.5]]', b'[[1, 2, "a"]]', b"null"]
)
def test_a_file_that_says_nothing_is_no_hindrance(tmp_path, body):
    time = VirtualTime()
    budget = SharedBudget(Staging(LocalFileSystem(), str(tmp_path), time.surroundings()), settings(50))
    budget.reserve()
    (file,) = (one for one in (tmp_path / "rates").iterdir() if one.suffix == ".json")
    file.write_bytes(body)
    time.elapsed += 1
    assert budget.reserve() == 0


def test_where_staging_fails_the_process_keeps_to_the_rate_alone(tmp_path, caplog):
    (tmp_path / "rates").write_text("a file where a folder should be")
    time = VirtualTime()
    budget = SharedBudget(Staging(LocalFileSystem(), str(tmp_path), time.surroundings()), settings(2))
    assert [budget.reserve() for _ in range(3)] == [0, 0, 10]
    assert "is not shared with other processes just now" in caplog.text


def test_a_client_shares_it_where_staging_can(tmp_path):
    time = VirtualTime()
    staging = Staging(LocalFileSystem(), str(tmp_path), time.surroundings())
    client = OptixClient(settings(50), surroundings=time.surroundings())
    share_rate(client, staging)
    assert isinstance(client._budget, SharedBudget)


def test_a_clock_that_is_ahead_does_not_hold_up_others_for_long(tmp_path):
    ahead, here = VirtualTime(), VirtualTime()
    ahead.elapsed = 25.0
    fast = SharedBudget(Staging(LocalFileSystem(), str(tmp_path), ahead.surroundings()), settings(20))
    right = SharedBudget(Staging(LocalFileSystem(), str(tmp_path), here.surroundings()), settings(20))
    fast.reserve()
    assert timedelta(seconds=right.reserve()) <= timedelta(seconds=36)


@pytest.mark.any_version
def test_two_that_ask_at_once_on_s3_are_not_both_granted_the_same(s3):
    """Whose write it was is told by what is there: so no two may write the same."""
    fs, bucket = s3
    budgets = [SharedBudget(Staging(fs, f"{bucket}/staging"), settings(200)) for _ in range(3)]
    until, sent = time.monotonic() + 4, []

    def send(budget):
        while (now := time.monotonic()) < until:
            wait = budget.reserve()
            sent.append(now + wait)
            time.sleep(min(wait, max(until - now, 0)))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(send, budgets))
    assert most_within([one for one in sent if one < until], 10) <= 200
