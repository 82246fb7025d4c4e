"""Everything that is done with a DCP table, against a plain model of what its profiles are to hold."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from optimove_provider.clients.dcp import DcpClient
from optimove_provider.clients.settings import UploadMethod
from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.cells.values import comparable
from optimove_provider.contract.dcp.config import writable
from optimove_provider.contract.wire.errors import AuthenticationError, Disagreement
from optimove_provider.emulator import Switches
from optimove_provider.emulator.importer.importer import advance
from optimove_provider.loads.dcp.load import confirm, outcome, run
from optimove_provider.loads.dcp.options import ChangedOptions, TableImport, table_ledger
from optimove_provider.loads.evidence.upload_history import UploadHistory
from optimove_provider.loads.evidence.verification import Verification
from optimove_provider.loads.profiles.profiles import ProfileEncoder, create_aliases, missing_values, write_profiles
from optimove_provider.loads.profiles.rest_load import RestLoad
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.upload.destination import Destination
from optimove_provider.loads.validation.row_check import ImportOptions
from optimove_provider.options import Guards
from optimove_provider.records.read.sources import list_batches
from tests.support.dcp.profiles import SETTINGS
from tests.support.ledgers import ledger_rows
from tests.support.s3_target import of, rows_of
from tests.support.unknowns.bucket import ImportBucket
from tests.support.unknowns.course import Course
from tests.support.unknowns.dcp_rows import ATTRIBUTES, ODD_EARLIER, ODD_FILE, ODD_VALUES, Row, row, values_of

NO_GUARDS = Guards(max_changed_share=None, max_removed_share=None, min_rows_share=None, min_filled_share=None)
WAIT, PAUSE = timedelta(hours=12), timedelta(minutes=30)
HISTORY = "http://e/_emulator/uploads/{table_id}"


class DcpCourse(Course):
    """A table, what its profiles are to hold by customer (`model`), and what is written into it.

    `also` is what a file says of a customer besides, in an earlier row.
    """

    def __init__(self, folder: Path, switches: Switches, tells: str = "") -> None:
        super().__init__(folder, switches, tells)
        self.bucket = ImportBucket(self.state)
        self.client = self.client_of()
        self.table_id, self.service_id, self.model = 0, 0, dict[str, dict[str, Any]]()
        self.by_name = {one.name: one for one in ATTRIBUTES}
        self.also = dict[str, dict[str, Any]]()

    def client_of(self, **changed: Any) -> DcpClient:
        """A client of this world."""
        return DcpClient(replace(SETTINGS, **changed), send=self.send, surroundings=self.surroundings)

    def tables(self) -> None:
        """Make a service, a table and attributes, and make them again; then with a wrong token."""
        self._make()
        with self.step("again"):
            self._ensure()
        assert (len(self.state.services), self.names) == (1, [one.name for one in ATTRIBUTES])
        with self.step("describe an attribute"):
            (first, *_) = self.table.attributes.values()
            self.client.describe_attribute(first.id, "what a customer is worth")
            assert first.attribute.description == "what a customer is worth"
        with self.step("link a project"):
            self.client.link_project(1234, self.service_id)
            assert self.state.projects[1234].dcp_service_id == self.service_id
        with pytest.raises(AuthenticationError, match="was answered 403"):
            self.client_of(token="another").list_services()

    def retype(self) -> None:
        """Give an attribute another datatype, as the vendor documents it: archive it, and create a replacement."""
        self._make()
        replacement = Attribute("note", "long")
        for again in ("", ", again"):
            with self.step(f"archive and replace{again}"):
                self.client.archive_attributes(self.table_id, {"note": "string"})
                self.client.ensure_attributes(self.table_id, [replacement])
        with self.step("look at it"):
            (found,) = (one for one in self.client.list_attributes(self.table_id) if one.name == "note")
            assert (found.datatype, found.archived) == ("long", False)
        assert sorted(one.archived for one in self._registered("note")) == [False, True]
        self.by_name["note"] = replacement
        self.write("profiles", [row("p1", 1, note=5)])
        self.import_rows("import", self.client_of(upload_history_url=HISTORY), [row("p2", 2, note=6)], mode="full")

    def tokens(self) -> None:
        """Send the token in either of the two ways that the guide names."""
        for name, scheme in (("a classic token", "Token"), ("a token of OAuth 2.0", "Bearer")):
            with self.step(name):
                assert self.client_of(auth_scheme=scheme).list_services() == []

    def imports(self) -> None:
        """Import everything, then what changed, with a history to be asked; the answers of S3 to two files are lost."""
        self._make()
        self.bucket.lost |= {2, 3}
        asked = self.client_of(upload_history_url=HISTORY)
        self.import_rows("full import", asked, [row(f"c{one}", one) for one in range(6)], mode="full")
        changed = [row("c0", 0), row("c1", 7), row("c2", 2, note=None), row("c3", 3, ltv=1e-7), row("c9", 9)]
        self.import_rows("changed import", asked, changed)
        self.import_rows("import again", asked, [row("c0", 0), row("c1", 8), row("c9", 9)], method="put")

    def read_back(self) -> None:
        """The same where no history can be asked: profiles show what became of a file."""
        self._make()
        self.import_rows("full import", self.client, [row(f"c{one}", one) for one in range(3)], mode="full")
        self.import_rows("changed import", self.client, [row(f"c{one}", one + 5) for one in range(3)])

    def verified(self) -> None:
        """The same, and each row is looked for: one has values of which the guide says two things."""
        self._make()
        odd = row("c2", 2, since=datetime(1970, 1, 1, tzinfo=UTC), visits=-(2**63))
        self.import_rows("full import", self.client, [row("c1", 1), odd, row("c3", 3)], mode="full", verify=1)
        self.import_rows("changed import", self.client, [row("c1", 5), odd, row("c3", 6)], verify=1)

    def files(self) -> None:
        """Import files that somebody else wrote, with all that is right by some of the vendor's words."""
        self._make()
        asked = self.client_of(upload_history_url=HISTORY)
        self.also = ODD_EARLIER
        self.import_file("a file of somebody else's", asked, "rows.csv", "\r\n".join(ODD_FILE), ODD_VALUES)
        tabs = "customerId\tltv\tnote\n3\t1.5\ta,b\n"
        self.import_file("a file with tabs", asked, "rows.tsv", tabs, {"3": {"ltv": 1.5, "note": "a,b"}})

    def profiles(self) -> None:
        """Write profiles, read them, and say which customers are one."""
        self._make()
        records = [row("p1", 1), row("p2", 2, note=None), row("p3", 3)]
        self.write("profiles", records)
        self.write("profiles again", [row("p1", 4)])
        with self.step("look for them"):
            expected = {"p1": values_of(row("p1", 4)), "p3": values_of(row("p3", 3)), "nobody": {"visits": 1}}
            told = list(missing_values(self.client, self.table_id, expected))
            assert told.pop() == "customer 'nobody' has no profile yet"
            if told:  # a sensor waits until it is red
                raise Disagreement("; ".join(told))
        with self.step("aliases"):
            self._aliases()

    def _make(self) -> None:
        with self.step("set up"):
            self._ensure()
        if self.outcomes["set up"] != "right":
            with self.as_guessed():
                self._ensure()
        (self.table_id,) = (one.id for one in self.state.tables.values() if not one.is_optimizely)

    def _ensure(self) -> None:
        client = self.client
        self.service_id = client.ensure_service("profiles").id or 0
        table = client.ensure_table(self.service_id, "customers", "uid").id or 0
        client.ensure_attributes(table, ATTRIBUTES)

    @property
    def table(self) -> Any:
        """It, as the vendor has it."""
        return self.state.tables[self.table_id]

    def _registered(self, name: str) -> list[Attribute]:
        """All attributes of a name, archived or not."""
        return [one.attribute for one in self.table.registered if one.attribute.name == name]

    @property
    def names(self) -> list[str]:
        """The attributes that it has."""
        return list(self.table.attributes)

    @property
    def stored(self) -> dict[str, dict[str, Any]]:
        """Its profiles now."""
        advance(self.state)
        return {customer: dict(values) for customer, values in self.table.profiles.items()}

    def import_rows(self, name: str, client: DcpClient, rows: Sequence[Row], **how: Any) -> None:
        """Import rows as a step."""
        source = rows_of(*list_batches(list(rows)))
        self._import(name, client, source, {one["customerId"]: values_of(one) for one in rows}, **how)

    def import_file(self, name: str, client: DcpClient, file: str, text: str, values: Any) -> None:
        """Import a file as a step."""
        self._import(name, client, of(text.encode(), file), values, mode="full")

    def _import(
        self, name: str, client: DcpClient, source: Any, values: Mapping[str, Row], verify: float = 0, **how: Any
    ) -> None:
        report = Report(self.load_id(), client.settings.target("dcp", self.table_id))
        with self.step(name, red=partial(self._take_what_is_left, values, report)):
            load = self._load(client, source, report, verify, **how)
            run(load, WAIT)
            if report.state == "uploaded":
                rows = Verification(client, self.table_id, self.staging, report.load_id, verify, PAUSE, WAIT)
                confirm(self.staging, report, outcome(load, WAIT, PAUSE), verification=rows if verify else None)
            if report.state == "uploaded":
                assert self.may_differ(name, report), report.notes
                assert report.evidence["kind"] == "none"
            else:
                assert report.state in ("committed", "nothing_to_send"), report.notes
                assert not verify or report.evidence["kind"] == "counted"
            self._expect(name, values, report)
        self._check_ledger(name)

    def _load(
        self,
        client: DcpClient,
        source: Any,
        report: Report,
        verify: float,
        mode: str = "changed",
        method: UploadMethod = "auto",
    ) -> TableImport:
        table = writable(client.read_table(self.table_id))
        bucket = self.bucket.of(table)
        history = UploadHistory(client, self.table_id, self.staging, self.bucket.of)
        options = ImportOptions(client.list_attributes(self.table_id))
        return TableImport(
            source=source,
            options=options,
            to=Destination(bucket, table.s3_path, report.load_id, self.staging, method),
            report=report,
            ledger=table_ledger(self.staging, report),
            outcome_of=history.outcome,
            remember=history.remembering(table, options.attributes),
            mode=mode,
            changed=ChangedOptions(guards=NO_GUARDS),
            verify=verify,
        )

    def write(self, name: str, records: Sequence[Row]) -> None:
        """Write profiles as a step."""
        values = {one["customerId"]: values_of(one) for one in records}
        report = Report(self.load_id(), {})
        with self.step(name, red=partial(self._take_what_is_left, values, report)):
            encoder = ProfileEncoder.to(self.client.list_attributes(self.table_id))
            table = self.client.read_table(self.table_id)
            write_profiles(self.client, table, records, encoder, RestLoad(self.staging, report))
            self._expect(name, values, report)

    def _aliases(self) -> None:
        optimizely = next((one.id for one in self.state.tables.values() if one.is_optimizely), 0)
        for table, customer in ((self.table_id, "p1"), (optimizely, "u1")):
            alias = {"optimizely_user_id": "u1", "aliases": [{"table_id": table, "customer_id": customer}]}
            create_aliases(self.client, self.service_id, [alias], RestLoad(self.staging, Report(self.load_id(), {})))
            found = self.client.read_aliases(self.service_id, optimizely, "u1")
            assert found[str(table)] == customer
            views = self.client.read_consolidated_view(self.service_id, optimizely, "u1")
            wanted = ["p1"] if "p1" in self.stored else []
            assert table != self.table_id or [view.customer_id for view in views] == wanted
        assert self.client.read_consolidated_view(self.service_id, optimizely, "nobody") == []

    def _expect(self, name: str, values: Mapping[str, Row], report: Report) -> None:
        """What is green has brought every value; an empty cell promises nothing, and the report counts it."""
        assert (report.rejected, report.unsent) == (0, 0)
        told = self.may_differ(name, report)
        self.settle()
        found = self.stored
        for customer in found.keys() | self.model | values.keys():
            wanted = {**self.model.get(customer, {}), **values.get(customer, {})}
            wrong = [
                one
                for one, value in wanted.items()
                if value is not None and not self._same(one, value, found, customer)
            ]
            assert not wrong or told, (name, customer, wrong, found.get(customer))
        self.model = found

    def _take_what_is_left(self, values: Mapping[str, Row], report: Report) -> None:
        """After an error: what was there, or what was sent; and what the report calls accepted has come."""
        self.settle()
        found = self.stored
        for customer in found.keys() | self.model:
            for name, value in found.get(customer, {}).items():
                before = self.model.get(customer, {}).get(name)
                sent = [one.get(customer, {}).get(name) for one in (values, self.also)]
                assert value == before or any(self._same(name, one, found, customer) for one in sent), (customer, name)
        came = sum(all(self._same(one, value, found, key) for one, value in row.items()) for key, row in values.items())
        assert came >= report.accepted + report.unchanged or report.state == "uploaded"
        self.model = found

    def _check_ledger(self, name: str) -> None:
        """What the ledger says it knows is true, but for empty cells."""
        ledger, found = (
            table_ledger(self.staging, Report("", self.client.settings.target("dcp", self.table_id))),
            self.stored,
        )
        assert ledger
        for key, stored in ledger_rows(ledger).items() if ledger.read().layers else ():
            if stored["fingerprint"] is not None and stored["record"] is not None:
                customer, record = json.loads(key), json.loads(stored["record"])
                del record["customerId"]
                assert all(self._same(one, cell, found, customer) for one, cell in record.items() if cell), (name, key)

    def _same(self, name: str, value: Any, found: Mapping[str, Row], customer: str) -> bool:
        """Whether a profile holds a value of the source."""
        if isinstance(value, datetime):
            value = f"{value:%Y-%m-%dT%H:%M:%SZ}"
        elif isinstance(value, date):
            value = value.isoformat()
        attribute = self.by_name[name]
        return comparable(attribute, value) == comparable(attribute, found.get(customer, {}).get(name))
