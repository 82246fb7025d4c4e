"""Imports into an emulated table in one thread and on a virtual clock: bucket, importer, profiles, and who looks."""

import uuid
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from types import SimpleNamespace

from fsspec.implementations.local import LocalFileSystem

from optimove_provider.clients.dcp import DcpClient
from optimove_provider.clients.s3 import Bucket
from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.dcp.config import IMPORT_BUCKET
from optimove_provider.emulator import State, send
from optimove_provider.loads.dcp.load import confirm, outcome, run
from optimove_provider.loads.dcp.options import ChangedOptions, TableImport, table_ledger
from optimove_provider.loads.evidence.upload_history import UploadHistory
from optimove_provider.loads.evidence.verification import Verification
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.state.staging import Staging
from optimove_provider.loads.upload.destination import Destination
from optimove_provider.loads.validation.row_check import ImportOptions
from tests.support.crash.memory_s3 import MemoryS3
from tests.support.dcp.profiles import SETTINGS
from tests.support.ledgers import ledger_rows
from tests.support.optix_transactions import NO_GUARDS
from tests.support.s3_target import of
from tests.support.virtual_time import START, VirtualTime

ATTRIBUTES = (Attribute("since", "datetime", "epoch"), Attribute("ltv", "double"))
HISTORY = "http://e/_emulator/uploads/{table_id}"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


class PuttingS3(MemoryS3):
    """Objects that become visible are there for an importer too."""

    def __init__(self, objects):
        super().__init__()
        self.put = objects.put

    def complete_multipart_upload(self, Key, **how):
        made = super().complete_multipart_upload(Key=Key, **how)
        self.put(Key, self.objects[Key][0])
        return made


@dataclass
class Vendor:
    """A table at an emulated vendor, and a staging folder of ours."""

    folder: object

    def __post_init__(self):
        self.time = VirtualTime()
        self.surroundings = self.time.surroundings()
        self.state = State(clock=lambda: START.timestamp() + self.time.elapsed)
        self.settings = SETTINGS
        self.staging = Staging(LocalFileSystem(), str(self.folder), self.surroundings)
        self.s3 = PuttingS3(self.state.objects)
        service = self.client.ensure_service("shop").id
        table = self.client.ensure_table(service, "customers", "uid").id
        self.client.ensure_attributes(table, ATTRIBUTES)
        self.table = self.client.read_table(table)

    @property
    def client(self):
        return DcpClient(self.settings, send=partial(send, self.state), surroundings=self.surroundings)

    def with_history(self):
        """From now on the connection names the history."""
        self.settings = replace(self.settings, upload_history_url=HISTORY)

    def switch(self, **switches):
        self.state.switches = replace(self.state.switches.plain, **switches)

    @property
    def profiles(self):
        return self.state.tables[self.table.id].profiles

    @property
    def history(self):
        bucket = Bucket(self.s3, IMPORT_BUCKET)
        return UploadHistory(self.client, self.table.id, self.staging, lambda table: bucket)

    def new_report(self, load_id=""):
        return Report(load_id or str(uuid.uuid4()), self.settings.target("dcp", self.table.id))

    @property
    def ledger(self):
        return table_ledger(self.staging, self.new_report())

    def known(self):
        """What the ledger knows that the table has: by customer, the evidence."""
        rows = ledger_rows(self.ledger).items()
        return {key.strip('"'): row["evidence"] for key, row in rows if row["fingerprint"] is not None}

    def importing(self, rows, report, try_number=1, mode="changed", verify=0, **how):
        to = Destination(Bucket(self.s3, IMPORT_BUCKET), self.table.s3_path, report.load_id, self.staging)
        compared = ("source_is", "reverify_after", "assume_settled")
        changed = ChangedOptions(guards=NO_GUARDS, **{name: how.pop(name) for name in compared if name in how})
        return TableImport(
            source=of(rows if isinstance(rows, bytes) else text(rows)),
            options=ImportOptions(ATTRIBUTES, **how),
            to=to,
            report=report,
            ledger=self.ledger,
            outcome_of=self.history.outcome,
            remember=self.history.remembering(self.table, ATTRIBUTES),
            mode=mode,
            changed=changed,
            try_number=try_number,
            verify=verify,
        )

    def load(self, rows, report=None, wait=HOUR, verify=0, then=lambda: None, **how):
        """A whole import, waited for; its report, which is the exception's too where it fails. `then` is called once it
        is seen, and before it is confirmed."""
        report = report or self.new_report()
        one = self.importing(rows, report, verify=verify, **how)
        try:
            run(one, wait)
            if report.state == "uploaded":
                found = outcome(one, wait, MINUTE)
                then()
                confirm(self.staging, report, found, one.try_number, self.verification(report, verify, wait))
        except Exception as error:
            error.report = report
            raise
        self.time.sleep(1)
        return report

    def verification(self, report, share, wait=HOUR):
        if not share:
            return None
        return Verification(self.client, self.table.id, self.staging, report.load_id, share, MINUTE, wait)

    def filed(self, report):
        """The report as it is filed, the page for people, and the task's result."""
        place = f"{self.folder}/reports/{report.load_id}"
        with open(f"{place}.html") as page:
            return SimpleNamespace(
                json=self.staging.read(f"reports/{report.load_id}.json"),
                page=page.read(),
                result=report.result(self.staging),
            )


def text(rows):
    """{customer: (since, ltv)} as a CSV file."""
    return b"customerId,since,ltv\n" + b"".join(f"{key},{since},{ltv}\n".encode() for key, (since, ltv) in rows.items())
