"""The commands of docs/command-line.md, one after the other, against the emulator."""

import re
import sqlite3

from optimove_provider.cli import main
from optimove_provider.contract.optix.data_connections import BASE_URL
from optimove_provider.operators.dcp import (
    DcpCreateServiceOperator,
    DcpCreateTableOperator,
    DcpRegisterAttributesOperator,
)
from optimove_provider.operators.optix import OptixCreateConnectionOperator
from tests.support.docs.blocks import blocks
from tests.support.docs.commands import commands

PAGE = [block for block in blocks() if block.page.name == "command-line.md"]


def test_they_load_and_tell_what_became_of_the_rows(emulator, tmp_path, monkeypatch, capfd):
    uuid = OptixCreateConnectionOperator(task_id="create", name="Customers", primary_key="customer_id").execute({})
    service = DcpCreateServiceOperator(task_id="service", name="Shop").execute({})
    table = DcpCreateTableOperator(task_id="table", service_id=service, name="T", keyfield_locator_type="uid").execute(
        {}
    )
    DcpRegisterAttributesOperator(task_id="attributes", table_id=table, attributes={"ltv": "long"}).execute({})
    tmp_path.joinpath("customers.csv").write_text("customer_id,ltv\nC-10442,7\n")
    with sqlite3.connect(tmp_path / "warehouse.db") as database:
        database.execute("CREATE TABLE customers AS SELECT 'C-10442' AS customerId, 7 AS ltv")
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", f'{{"conn_type": "sqlite", "host": "{tmp_path}/warehouse.db"}}')
    monkeypatch.chdir(tmp_path)
    stands_for = {
        "34f8cfca-85fa-444f-97b2-a5b8cbff6907": uuid,
        "4161712130": str(table),
        BASE_URL: f"{emulator.url}/api/data-connections/v1",
    }
    done, told = [], ""
    for words in (words for block in PAGE for words in commands(block)):
        assert words[:2] == ["airflow", "optimove"]
        # A load of customers is in the history by now; its id is another one than the page's.
        printed = "".join(capfd.readouterr())
        told += printed
        if loaded := re.search(r"\bload ([0-9a-f-]{36})\b", printed):
            stands_for.setdefault("6f0f5d3a-3a84-4000-8000-2f2f0c3f4a11", loaded[1])
        code = main([stands_for.get(word, word) for word in words[2:]])
        done.append((words[2], code))
    wanted = ["plan", "load", "load", "ledger", "history", "history", "history", "ledger"]
    wanted += ["suppressions", "suppressions", "forget"]
    assert done == [(name, 0) for name in wanted]
    assert "this would be written again without the key" in capfd.readouterr().out
    assert "C-10442" in told
    (connection,) = emulator.state.connections.values()
    assert set(connection.visible(emulator.state.clock())) == {"C-10442"}
