"""A DCP table whose imports and profile writes die before any of their steps, and what of it is how old."""

import csv
import io
import json
import math
import shutil
import uuid
from copy import deepcopy
from dataclasses import replace
from urllib.parse import unquote

from optimove_provider.clients.dcp import DcpClient
from optimove_provider.clients.http.patience import Retries
from optimove_provider.clients.s3 import Bucket
from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.cells.values import json_value
from optimove_provider.contract.dcp.config import IMPORT_BUCKET
from optimove_provider.contract.wire.messages import Response
from optimove_provider.emulator import State, send
from optimove_provider.loads.dcp.load import confirm, run
from optimove_provider.loads.dcp.profile_marks import ProfileMarks
from optimove_provider.loads.profiles.profiles import ProfileEncoder, write_profiles
from optimove_provider.loads.profiles.rest_load import RestLoad
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.state.journal import Journal
from optimove_provider.loads.upload.destination import Destination
from tests.support.crash.dying import DyingStaging
from tests.support.crash.memory_s3 import MemoryS3
from tests.support.dcp.profiles import SETTINGS
from tests.support.dcp_imports import load
from tests.support.ledgers import ledger_rows, let_lease_end
from tests.support.optix_transactions import NO_GUARDS
from tests.support.s3_target import Target, imported

ATTRIBUTES = {one.name: one for one in (Attribute("ltv", "double"), Attribute("note", "string"))}


class DyingBucket(Bucket):
    """A bucket whose calls are steps. What becomes visible is imported at once."""

    __slots__ = ("_table",)

    def __init__(self, table):
        super().__init__(table.s3, IMPORT_BUCKET)
        object.__setattr__(self, "_table", table)

    def begin(self, *arguments):
        return self._table.fate.step(super().begin, *arguments)

    def put_part(self, *arguments):
        return self._table.fate.step(super().put_part, *arguments)

    def complete(self, key, *arguments):
        self._table.fate.step(super().complete, key, *arguments)
        self._table.import_file(key)

    def put(self, key, *arguments):
        self._table.fate.step(super().put, key, *arguments)
        self._table.import_file(key)

    def abort(self, *arguments):
        return self._table.fate.step(super().abort, *arguments)


class DyingTable(Target):
    """A table, its bucket and its profiles, with the age and the value of the newest that ever came there, by cell.

    `refused` is a value that the vendor refuses in a profile. Every try of anything is made with `attempt`. The vendor
    `takes_away` an object once it is imported.
    """

    takes_away = False

    def __init__(self, folder, fate, s3=None, state=None, newest=None, refused=""):
        super().__init__(s3 or MemoryS3(), folder, s3_path="dcp/table")
        self.fate, self.state, self.refused = fate, state or State(), refused
        self.newest = {} if newest is None else newest
        self.spell(SETTINGS.host)
        if not self.state.tables:
            self.client.ensure_table(self.client.ensure_service("profiles").id, "customers", "uid")
            self.client.ensure_attributes(self.table.id, ATTRIBUTES.values())

    def copied(self, folder):
        """The same table, with its bucket and its staging, in another world."""
        shutil.copytree(self.folder, folder)
        state = State()
        state.services, state.tables = deepcopy((self.state.services, self.state.tables))
        other = DyingTable(folder, self.fate, deepcopy(self.s3), state, dict(self.newest), self.refused)
        other.load_id, other.takes_away = self.load_id, self.takes_away
        return other

    def another(self):
        """The same table, for another load."""
        other = DyingTable(self.folder, self.fate, self.s3, self.state, self.newest, self.refused)
        other.takes_away = self.takes_away
        return other

    def spell(self, host):
        """From now on the target is called so."""
        self.settings = replace(SETTINGS, host=host)
        self.client = DcpClient(self.settings, send=self.send, retries=Retries(first_wait=0))

    @property
    def table(self):
        """It, as the vendor has it."""
        (table,) = (one for one in self.state.tables.values() if not one.is_optimizely)
        return table

    @property
    def is_sending(self):
        """Whether its load has begun a file, and does not know it visible."""
        return (self.staging.read(self.to.progress_path(1)) or {"completed": True})["completed"] is False

    @property
    def staging(self):
        return DyingStaging(super().staging.fs, super().staging.root, self.fate)

    @property
    def to(self):
        return Destination(DyingBucket(self), self.s3_path, self.load_id, self.staging)

    def report(self):
        return Report(self.load_id, {"dcp": self.table.id, "host": self.settings.host})

    def load(self, source, report, ledger, **wanted):
        wanted = {"attributes": tuple(ATTRIBUTES.values()), "on_invalid": "split", "max_rejected": None, **wanted}
        return super().load(source, report, ledger, **wanted)

    def attempt(self, does, dies_at=0):
        """What `does` returns, or None if it died; nobody has the lease afterwards, as when the wait is over."""
        found = None
        with self.fate.until(dies_at):
            found = does()
        self.end_leases()
        return found

    def end_leases(self):
        """As they do when nobody renews them."""
        for ledger in (self.ledger, ProfileMarks(self.ledger).ledger):
            let_lease_end(ledger)

    def changed(self, rows, columns, generation, try_number=1, source_is="snapshot"):
        """One try of an import of what changed, its confirmation too: the report."""
        how = {"generation": generation, "guards": NO_GUARDS, "source_is": source_is}
        return load(self, text(rows, columns), try_number, **how)

    def full(self, rows, columns, generation, try_number=1):
        """One try of a full import, its confirmation too: the report."""
        report = self.report()
        run(self.load(text(rows, columns), report, self.ledger, generation=generation, try_number=try_number))
        if report.state == "uploaded":
            confirm(self.staging, report, imported(report.s3_keys), try_number)
        return report

    def write(self, rows, columns, generation):
        """One try of a profile write, which is a load of its own: the report."""
        writing = RestLoad(self.staging, Report(str(uuid.uuid4()), {}), 99, generation=generation)
        self.writing, records = writing, [{"customerId": key, **values} for key, values in cells(rows, columns)]
        table, encoder = self.client.read_table(self.table.id), ProfileEncoder.to(list(ATTRIBUTES.values()))
        write_profiles(self.client, table, records, encoder, writing)
        return writing.report

    def send(self, request):
        return self.fate.step(self._send, request)

    def _send(self, request):
        if request.endpoint.name != "write_profile":
            return send(self.state, request)
        values = json.loads(request.body)["data"]
        if any(_text(name, value) == self.refused for name, value in values.items()):
            return Response(422, b"a value that is refused")
        answer = send(self.state, request)
        self.remember(unquote(request.url.rpartition("/")[2]), values, self.writing.age)
        return answer

    def import_file(self, key):
        """What the vendor does with a file."""
        body, _ = self.s3.objects[key]
        journal = Journal(Target.staging.fget(self), self.load_id)
        for row in csv.DictReader(io.StringIO(body.decode())):
            customer = row.pop("customerId")
            values = {name: json_value(ATTRIBUTES[name], cell) for name, cell in row.items()}
            self.table.profiles.setdefault(customer, {}).update(values)
            self.remember(customer, values, journal.prepared_age or journal.age)
        if self.takes_away:
            del self.s3.objects[key]

    def remember_rows(self, rows, columns):
        """The last import of what changed has said of these rows that they are there."""
        age = Journal(self.staging, self.load_id).age
        for customer, values in cells(rows, columns):
            self.remember(customer, {name: json_value(ATTRIBUTES[name], cell) for name, cell in values.items()}, age)

    def remember(self, customer, values, age):
        """Values of an age have come, or are said to be there."""
        for name, value in values.items():
            before = self.newest.get((customer, name), (age, value))
            self.newest[customer, name] = max(before, (age, value), key=lambda one: one[0])

    @property
    def values(self):
        """The table's values, as the texts that were loaded."""
        self.table.show_written(math.inf)
        return {
            (customer, name): _text(name, value)
            for customer, profile in self.table.profiles.items()
            for name, value in profile.items()
        }

    def check(self):
        """Nothing older lies over anything newer, and what the ledger says it knows is true."""
        assert self.values == {cell: _text(cell[1], value) for cell, (_, value) in self.newest.items()}
        for key, row in ledger_rows(self.ledger).items():
            if row["fingerprint"] is not None:
                record = json.loads(row["record"])
                customer = record.pop("customerId")
                assert key == json.dumps(customer)
                assert record == {name: self.values[customer, name] for name in record}


def _text(name, value):
    return f"{value:g}" if name == "ltv" else value


def cells(rows, columns):
    """{customer: value} as (customer, {column: value}): all columns have the row's value."""
    return ((key, dict.fromkeys(columns, value)) for key, value in rows.items())


def text(rows, columns):
    """The same as a CSV file."""
    lines = [["customerId", *columns], *([key, *values.values()] for key, values in cells(rows, columns))]
    return "".join(",".join(line) + "\n" for line in lines).encode()
