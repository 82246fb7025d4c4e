"""Opti-X uploads and updates against a model: plain dicts, from the vendor's words and not from the emulator's code."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from optimove_provider.contract.wire.messages import Request, json_body
from optimove_provider.emulator import API_KEY, BRAND_KEY, State, handle

BATCHES = [None, *(f"0000000{number}-0000-4000-8000-000000000000" for number in range(3))]
record = st.fixed_dictionaries(
    {"id": st.integers(0, 5).map(str)}, optional={"x": st.integers(), "y": st.none() | st.text(max_size=3)}
)


class Uploads(RuleBasedStateMachine):
    """`shown` is what a query finds: key to (record, instant of its expiry). `open` holds what waits, by batch."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.state = State(clock=lambda: self.now, seed="model")
        self.shown: dict[str, tuple[dict, float | None]] = {}
        self.open: dict[str, list] = {}

    def ask(self, method, path, value=None):
        headers = {"x-api-key": API_KEY, "x-brand-key": BRAND_KEY}
        return handle(self.state, Request(method, path, headers, None if value is None else json_body(value)))

    @initialize()
    def create(self):
        base = "/api/data-connections/v1/connections"
        created = self.ask("POST", base, {"name": "n", "primary_key": "id"}).json()
        connection = f"{base}/{created['data_connection_uuid']}"
        self.url, self.update_url = f"{connection}/upload_data", f"{connection}/update_data"

    @rule(
        records=st.lists(record, min_size=1, max_size=4),
        batch=st.sampled_from(BATCHES),
        completed=st.booleans(),
        ttl=st.none() | st.integers(1, 50),
    )
    def upload(self, records, batch, completed, ttl):
        wanted = {"data": records, "batch_uuid": batch, "batch_completed": completed, "ttl_seconds": ttl}
        assert self.ask("POST", self.url, wanted).status == 200
        rows = [(row["id"], row, None if ttl is None else self.now + ttl) for row in records]
        waiting = self.open.pop(batch, []) + rows
        if completed:
            self.shown |= {key: (row, expires) for key, row, expires in waiting}
        elif batch is not None:
            self.open[batch] = waiting

    @rule(records=st.lists(record, min_size=1, max_size=3), ttl=st.none() | st.integers(1, 50))
    def update(self, records, ttl):
        rest = [{name: value for name, value in row.items() if name != "id"} for row in records]
        items = [{"primary_key": row["id"], "data": data, "ttl": ttl} for row, data in zip(records, rest, strict=True)]
        assert self.ask("PUT", self.update_url, items).status == 200
        expires = None if ttl is None else self.now + ttl
        self.shown |= {row["id"]: (row, expires) for row in records}

    @rule(records=st.lists(record, max_size=3), bad=st.sampled_from([7, {}, {"id": None}]))
    def refused_upload(self, records, bad):
        assert self.ask("POST", self.url, {"data": [*records, bad]}).status == 400

    @rule(seconds=st.integers(1, 30))
    def wait(self, seconds):
        self.now += seconds

    @invariant()
    def shows_what_the_model_shows(self):
        (connection,) = self.ask("GET", "/_emulator/state").json()["connections"]
        live = {
            key: {"data": row, "expires": expires}
            for key, (row, expires) in self.shown.items()
            if expires is None or self.now < expires
        }
        assert connection["records"] == live


TestUploads = Uploads.TestCase
TestUploads.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
