"""Everything that is done with a data connection, against a plain model of what is to be visible."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from optimove_provider.clients.optix import OptixClient
from optimove_provider.contract.wire.errors import ApiError, Disagreement
from optimove_provider.emulator import Fault, Switches
from optimove_provider.loads.ledger.ledger import ledger_of
from optimove_provider.loads.optix.batch import NothingAccepted
from optimove_provider.loads.optix.create_connection import create_once
from optimove_provider.loads.optix.load import load
from optimove_provider.loads.optix.options import OptixTarget, UploadOptions
from optimove_provider.loads.optix.update import Update, load_update
from optimove_provider.loads.report.report import Report
from optimove_provider.options import Guards, Sending
from optimove_provider.records.read.sources import list_batches
from tests.support.ledgers import ledger_rows
from tests.support.optix_target import SETTINGS, Killed, opened
from tests.support.unknowns.course import RETRY_DELAY, Course, agree

NO_GUARDS = Guards(max_changed_share=None, max_removed_share=None, min_rows_share=None)
UPLOAD = "upload_data"

Rows = Mapping[str, Mapping[str, Any]]


def some(numbers: Any, value: str) -> dict[str, dict[str, Any]]:
    """Rows by key."""
    return {f"k{number}": {"id": f"k{number}", "value": value, "n": number / 4} for number in numbers}


class OptixCourse(Course):
    """A data connection, what it is to hold (`model`), and the loads into it."""

    def __init__(self, folder: Path, switches: Switches, tells: str = "", resume_within: float | None = None) -> None:
        super().__init__(folder, switches, tells)
        self.client = self.client_of(self.send)
        self.sending = Sending(max_in_flight=1, **({} if resume_within is None else {"resume_within": resume_within}))
        self.uuid, self.model = "", dict[str, Any]()

    def client_of(self, send: Any, **changed: Any) -> OptixClient:
        """A client of this world."""
        return OptixClient(replace(SETTINGS, **changed), send=send, surroundings=self.surroundings)

    def send(self, request: Any) -> Any:
        """One request; whatever is visible after it is what was there before the load, or all that it brings."""
        answer = super().send(request)
        self.visible  # noqa: B018 - a query comes at any time, also while a batch is open
        return answer

    def upload(self) -> None:
        """Create, load everything, what changed, and what a killed process left; two answers are lost."""
        self._create("create", "customers")
        self.state.faults.order(Fault(UPLOAD, skip=1, lost="after"), Fault(UPLOAD, skip=2, lost="after"))
        self.load("full", some(range(10), "a"), mode="full")
        changed = some(range(6), "a") | some([1, 5, 10, 11], "b")
        self.load("changed, and expire", changed, source_is="snapshot", on_removed="expire")
        self.load("killed, and tried again", some(range(10), "c"), mode="full", dies_at=2)
        self.load("one row in twelve is bad", some(range(11), "d") | some([11], "poison"), mode="full")

    def update(self) -> None:
        """Update records that are there, and one that is not; then load what is to be there."""
        self._create("create", "customers")
        self.load("full", some(range(3), "a"), mode="full")
        self.load("update", some([1, 2, 20], "b"), update=True)
        self.load("snapshot", some(range(3), "c") | some([20], "b"), source_is="snapshot")

    def odd_rows(self) -> None:
        """Rows that expire unless they come again, nulls, lists, and integer keys."""
        self._create("create", "customers")
        day = 86400
        self.load("with a time to live", some(range(5), "a"), ttl_seconds=day)
        self.settle(day * 2 / 3)
        self.load("before it is over", some(range(5), "a"), ttl_seconds=day)
        self.settle(day * 2 / 3)
        odd = {"k1": {"id": "k1", "value": None, "n": 1.5}, "k2": {"id": "k2", "value": "b", "n": None}}
        self.load("nulls", odd, nulls="null")
        self.load("lists", {one: {"id": one, "value": "b", "tags": ["x", "y"]} for one in ("k3", "k4")})
        self._create("create another", "numbers")
        self.load("integer keys", {str(one): {"id": one, "value": "a"} for one in range(3)}, key_type="integer")

    def wrong_keys(self) -> None:
        """Whatever the status: an error that says no, and nothing changes."""
        self._create("create", "customers")
        wrong = self.client_of(self.send, brand_api_key="another")
        for client, uuid in ((wrong, self.uuid), (self.client, "00000000-0000-4000-8000-00000000dead")):
            report = Report(self.load_id(), {})
            with pytest.raises((ApiError, NothingAccepted), match=r"was answered [24]|refused every row"):
                self._load(client, uuid, some([1], "z"), report)
            assert (report.state, report.accepted, self.visible) == ("failed", 0, {})

    def _create(self, step: str, name: str) -> None:
        before = set(self.state.connections)
        with self.step(step):
            create_once(self.client, self.staging, name, "id")
        if self.outcomes[step] != "right":
            with pytest.raises(Disagreement, match="Look in the Opti-X UI"):
                create_once(self.client, self.staging, name, "id")
            with self.as_guessed():
                self.client.create_connection(name, "id")
        self.uuid, self.model = list(self.state.connections)[-1], {}
        assert len(set(self.state.connections) - before) <= 2
        if self.outcomes[step] == "right":
            assert create_once(self.client, self.staging, name, "id") == self.uuid

    def load(self, name: str, rows: Rows, update: bool = False, dies_at: int = 0, **wanted: Any) -> None:
        """One load, or update, as a step; without settings a delta of what changed."""
        report = Report(self.load_id(), {})
        with self.step(name, red=partial(self._take_what_is_left, rows, report, wanted)):
            if dies_at:
                with suppress(Killed):
                    self._load(self.client_of(self._dying(dies_at)), self.uuid, rows, report, **wanted)
                self.time.sleep(RETRY_DELAY)
            if update:
                self._update(rows, report)
            else:
                self._load(self.client, self.uuid, rows, report, **wanted)
            self._expect(name, rows, report, wanted, update)
        self._check_ledger(name, report)

    def _load(self, client: OptixClient, uuid: str, rows: Rows, report: Report, **wanted: Any) -> None:
        target = {one: wanted.pop(one) for one in ("key_type", "ttl_seconds") if one in wanted}
        how = {"mode": "changed", "guards": NO_GUARDS, **wanted}
        options = UploadOptions(OptixTarget(uuid, "id", **target), sending=self.sending, **how)
        load(client, partial(_open, rows), self.staging, report, options)

    def _update(self, rows: Rows, report: Report) -> None:
        update = Update(UploadOptions(OptixTarget(self.uuid, "id"), sending=self.sending))
        load_update(self.client, partial(_open, rows), self.staging, report, update)

    def _dying(self, at: int) -> Any:
        asked = count(1)

        def send(request: Any) -> Any:
            if next(asked) == at:
                raise Killed
            return self.send(request)

        return send

    @property
    def visible(self) -> dict[str, Any]:
        """What a query finds now."""
        connection = self.state.connections.get(self.uuid)
        if connection is None:
            return {}
        self.state.look_at(connection)
        found = connection.visible(self.state.clock(), lambda: self.state.switches.old_rows_stay)
        return {key: record.data for key, record in found.items()}

    def _expect(self, name: str, rows: Rows, report: Report, wanted: Mapping[str, Any], is_update: bool) -> None:
        """A load that is green has brought every row, and taken away what it was asked to."""
        assert report.state in ("committed", "nothing_to_send")
        assert (report.rejected, report.unsent) == (0, 0)
        told = self.may_differ(name, report)
        kept = {} if wanted.get("on_removed") == "expire" else self.model
        expected = {**kept, **rows}
        self.settle()
        found = self.visible
        if wrong := [key for key in found.keys() | expected if not agree(found.get(key), expected.get(key))]:
            assert told, (name, wrong, found, report.notes)
            assert not is_update or report.evidence["kind"] == "none"
        self.model = found

    def _take_what_is_left(self, rows: Rows, report: Report, wanted: Mapping[str, Any]) -> None:
        """After an error: what was there, or what was sent, and as much of it as the report says."""
        self.settle()
        found = self.visible
        for key in found.keys() | self.model:
            gone = wanted.get("on_removed") == "expire" and key not in found and key not in rows
            assert gone or any(agree(found.get(key), one.get(key)) for one in (self.model, rows)), (key, found)
        came = sum(agree(found.get(key), row) for key, row in rows.items())
        assert came >= report.accepted + report.unchanged
        self.model = found

    def _check_ledger(self, name: str, report: Report) -> None:
        """What the ledger says it knows is true."""
        ledger = ledger_of(self.staging, "optix", self.client.settings.host, self.uuid)
        assert ledger
        found, now = self.visible, self.surroundings.now()
        for key, row in ledger_rows(ledger).items() if ledger.read().layers else ():
            there = found.get(str(json.loads(key)))
            is_over = row["expires"] is not None and row["expires"] <= now
            if row["state"] == "tombstone":
                assert there is None, (name, key)
            elif row["fingerprint"] is not None and row["record"] is not None and not is_over:
                assert agree(there, json.loads(row["record"])) or self.may_differ(name, report), (name, key, there, row)


def _open(rows: Rows) -> Any:
    return opened(list_batches(list(rows.values())))
