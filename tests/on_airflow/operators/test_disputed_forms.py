"""Forms that the vendor disputes with itself, from a file to what the importer reads, under either reading."""

import pytest

from optimove_provider.emulator.model.switches import Switches
from optimove_provider.operators.dcp import (
    DcpCreateServiceOperator,
    DcpCreateTableOperator,
    DcpRegisterAttributesOperator,
    DcpS3ImportOperator,
)
from tests.support.running import run

pytestmark = pytest.mark.any_version

TEXT = (
    '\ufeff"customerId", "vip", "ltv", "seen", "note"\n'
    '"CustomerId1", "True", "1e-07", "1999-01-01T00:00:00", "Height: 6\'1"""\n'
    "b,FALSE,1e+16,1999-01-01T00:00:00Z,plain\n"
)
PLAIN = (
    '"customerId","vip","ltv","seen","note"\n'
    '"CustomerId1",true,0.0000001,1999-01-01T00:00:00Z,"Height: 6\'1"""\n'
    "b,false,10000000000000000,1999-01-01T00:00:00Z,plain\n"
)


@pytest.fixture
def table(emulator):
    service = run(DcpCreateServiceOperator(task_id="service", name="Shop"))
    made = DcpCreateTableOperator(task_id="table", service_id=service, name="Customers", keyfield_locator_type="uid")
    table = run(made)
    attributes = {"vip": "bool", "ltv": "double", "seen": "datetime yyyy-mm-ddThh:mm:ssZ", "note": "string"}
    return run(DcpRegisterAttributesOperator(task_id="attributes", table_id=table, attributes=attributes))


@pytest.mark.parametrize("case", ["any", "lower"])
@pytest.mark.parametrize("mode", ["full", "changed"])
def test_every_row_is_stored_whichever_form_is_right(emulator, table, tmp_path, mode, case):
    emulator.state.switches = Switches(bool_case=case, row_failure="row")
    (tmp_path / "rows.csv").write_text(TEXT)
    importing = DcpS3ImportOperator(
        task_id="i",
        table_id=table,
        source=str(tmp_path / "rows.csv"),
        mode=mode,
        wait=True,
        poke_interval=0.01,
        deferrable=False,
    )
    result = run(importing)
    assert (result["state"], result["accepted"]) == ("committed" if mode == "changed" else result["state"], 2)
    (found,) = [one for one in emulator.state.objects.list() if one.key == result["s3_keys"][0]]
    with emulator.state.objects.read(found) as stream:
        text = stream.read().decode()
    if mode == "full":
        assert text == PLAIN
    assert not text.startswith("\ufeff")
    assert "e-07" not in text
    stored = emulator.state.tables[table].profiles
    assert stored["CustomerId1"] == {"vip": True, "ltv": 1e-07, "seen": "1999-01-01T00:00:00Z", "note": "Height: 6'1\""}
    assert stored["b"]["ltv"] == 1e16
