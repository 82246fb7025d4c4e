"""A request whose answer was lost may be carried out later: never over what another load has brought meanwhile."""

import pytest

from optimove_provider.contract.wire.messages import Lost
from optimove_provider.emulator import send
from optimove_provider.loads.ledger.lease import TargetBusy
from tests.support.ledgers import let_lease_end
from tests.support.optix_transactions import TransactionTarget, night

OLD, NEW = {"a": "old", "b": "old"}, {"a": "new", "b": "new"}


class LateTarget(TransactionTarget):
    """The answer to the next change is lost once `loses`, and the server carries it out when it `arrives`."""

    loses, late = False, None

    def send(self, request):
        if self.loses and request.method != "GET":
            self.loses, self.late = False, request
            return Lost("no answer in time")
        return super().send(request)

    def arrives(self):
        send(self.state, self.late)


@pytest.fixture
def target(tmp_path):
    return LateTarget(tmp_path)


def brought_by(target, how):
    if how == "expire":
        target.sync(OLD, night(0))
        target.loses = True
        target.expire(["a"], night(1))
    else:
        target.loses = True
        getattr(target, how)(OLD, night(1))


@pytest.mark.parametrize("how", ["sync", "update", "expire"])
def test_the_next_load_waits_until_nothing_arrives_any_more(target, how):
    brought_by(target, how)
    with pytest.raises(TargetBusy):
        target.sync(NEW, night(2))
    assert NEW["a"] not in target.values.values()
    target.arrives()  # the latest that it may
    let_lease_end(target.ledger)
    target.sync(NEW, night(2))
    assert target.values == NEW


def test_nobody_waits_where_no_answer_was_lost(target):
    target.sync(OLD, night(1))
    target.sync(NEW, night(2))
    assert target.values == NEW


def test_a_load_that_goes_on_for_longer_than_that_gives_the_lease_back(target):
    target.loses = True
    target.sync(OLD, night(1))
    let_lease_end(target.ledger)
    target.time.sleep(61)
    target.sync(NEW, night(2))
    target.sync(OLD, night(3))
    assert target.values == OLD
