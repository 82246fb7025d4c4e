"""Loads whose process dies before any one of its steps, which is after the one before: a write, a swap, a request.

Once dead, nothing works any more: nothing is given back, cleaned up or sent, as after SIGKILL.
"""

import shutil
from contextlib import contextmanager
from copy import deepcopy

import pytest

from optimove_provider.loads.state import compare_and_swap
from optimove_provider.loads.state.staging import Staging
from optimove_provider.surroundings import REAL
from tests.support.ledgers import check_claims, let_lease_end
from tests.support.optix_target import Killed
from tests.support.optix_transactions import TransactionTarget


class Fate:
    """Counts steps. Before the one with the number `dies_at`, counted from 1, the process dies.

    `watch` is called before each step, if it is there; what it does are no steps.
    """

    def __init__(self):
        self.dies_at, self.passed, self.dead, self.watch = 0, 0, False, None

    def step(self, does, *arguments, **named):
        self._look()
        self.passed += 1
        self.dead = self.dead or self.passed == self.dies_at
        if self.dead:
            raise Killed
        return does(*arguments, **named)

    def _look(self):
        watch, self.watch = self.watch, None
        if watch:
            passed = self.passed
            watch()
            self.passed, self.watch = passed, watch

    @contextmanager
    def until(self, dies_at):
        """A life that may end in this block; 0 lets it live."""
        self.dies_at, self.passed = dies_at, 0
        try:
            yield
        except Killed:
            pass
        finally:
            self.dead, self.dies_at = False, 0


@contextmanager
def fate():
    """Whose steps the swaps of all manifests are."""
    found, real = Fate(), compare_and_swap.replace
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare_and_swap, "replace", lambda *arguments: found.step(real, *arguments))
        yield found


def deaths(target, folder, does):
    """What is left of a target if the process dies before each step of what is done to it, from one life.

    A copy that is made before a step, with nobody in it who goes on, is what the death would leave.
    """
    found = []

    def copy():
        found.append(target.copied(folder / str(len(found))))

    target.fate.watch = copy
    try:
        does()
    finally:
        target.fate.watch = None
    for one in found:
        one.end_leases()
    return found


class DyingStaging(Staging):
    """Staging whose writes are steps."""

    __slots__ = ("fate",)

    def __init__(self, fs, root, fate, surroundings=REAL):
        super().__init__(fs, root, surroundings)
        object.__setattr__(self, "fate", fate)

    def _write(self, path, body):
        return self.fate.step(super()._write, path, body)

    def open_new(self, path):
        return self.fate.step(super().open_new, path)

    def link(self, path, new):
        return self.fate.step(super().link, path, new)

    def remove_folder(self, path):
        return self.fate.step(super().remove_folder, path)


class DyingTarget(TransactionTarget):
    """A target whose loads die where `dies_at` says; nobody has its lease afterwards, as a minute later."""

    def __init__(self, folder, fate):
        self.fate = fate
        super().__init__(folder)
        self.staging = DyingStaging(self.staging.fs, self.staging.root, fate)

    def copied(self, folder):
        """The same target, with its staging, in another world."""
        shutil.copytree(self.staging.root, folder)
        other = DyingTarget(folder, self.fate)
        other.state.connections = deepcopy(self.state.connections)
        other.state.switches = self.state.switches
        other.data_connection_uuid, other.loads = self.data_connection_uuid, self.loads
        return other

    def send(self, request):
        return self.fate.step(super().send, request)

    def attempt(self, values, generation, load_id, dies_at=0, does=None, **settings):
        """One try of a load, or of what else `does` it; returns its report, or None if it died."""
        report = None
        with self.fate.until(dies_at):
            report = (does or self.sync)(values, generation, load_id, **settings)
        self.end_leases()
        return report

    def end_leases(self):
        """As they do when nobody renews them."""
        let_lease_end(self.ledger)

    @property
    def values(self):
        """What is visible once all that was made to expire is gone."""
        found = self.state.connections[self.data_connection_uuid].visible(self.state.clock() + 2)
        return {key: record.data.get("value") for key, record in found.items()}

    def check_ledger(self):
        """What the ledger says it knows is true of the target."""
        check_claims(self.ledger, self.values, "value")
