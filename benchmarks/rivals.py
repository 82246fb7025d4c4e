"""Loads by other tools, which `reliability.py` compares with: each posts the vendor's documented request of 5000 rows.

    python benchmarks/rivals.py drt|dlt BASE_URL data.csv FOLDER

A process that finds FOLDER used goes on as the tool does. The last line printed says how many rows the tool calls sent.
Keys and the data connection come from the environment: API_KEY, BRAND_KEY, DC_ID.
"""

import csv
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SLICE_ROWS = 5000
HEADERS = {"x-api-key": os.environ["API_KEY"], "x-brand-key": os.environ["BRAND_KEY"]}

SYNC = """
name: upload
model: SELECT * FROM profiles
destination:
  type: rest_api
  url: {url}
  method: POST
  headers: {headers}
  body_mode: batch
  max_records_per_request: 5000
  batch_template: |
    {{"data": {{{{ rows | tojson }}}}, "ttl_seconds": null}}
sync:
  mode: full
  batch_size: 5000
  on_error: skip
  rate_limit: {{requests_per_second: 1000}}
"""


def rows_of(file: str) -> Iterator[dict[str, str]]:
    with open(file, newline="", encoding="utf-8") as lines:
        yield from csv.DictReader(lines)


def drt(url: str, file: str, folder: Path) -> int:
    """drt-core: a sync of a SQLite table to its generic REST destination, with its own retries."""
    if not folder.exists():
        _drt_project(url, file, folder)
    command = [Path(sys.executable).with_name("drt"), "run", "--output", "json"]
    environment = {**os.environ, "HOME": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    told = json.loads(done.stdout[done.stdout.index("{") :])
    return sum(sync.get("rows_synced", 0) for sync in told.get("syncs", [told]))


def _drt_project(url: str, file: str, folder: Path) -> None:
    for name in (folder / "syncs", folder / ".drt"):
        name.mkdir(parents=True)
    rows = rows_of(file)
    first = next(rows)
    with sqlite3.connect(folder / "profiles.db") as database:
        columns = ", ".join(first)
        database.execute(f"CREATE TABLE profiles ({columns})")
        marks = ", ".join("?" * len(first))
        database.execute(f"INSERT INTO profiles VALUES ({marks})", list(first.values()))  # noqa: S608
        database.executemany(f"INSERT INTO profiles VALUES ({marks})", (list(row.values()) for row in rows))  # noqa: S608
    (folder / "drt_project.yml").write_text('name: upload\nversion: "0.1"\nprofile: local\n')
    (folder / ".drt" / "profiles.yml").write_text(f"local:\n  type: sqlite\n  database: {folder}/profiles.db\n")
    (folder / "syncs" / "upload.yml").write_text(SYNC.format(url=url, headers=json.dumps(HEADERS)))


def dlt(url: str, file: str, folder: Path) -> int:
    """dlt: a custom destination, as its documentation shows one for a REST API; 5000 rows a call."""
    import dlt as tool
    import requests
    from dlt.common.json import json as encoder
    from dlt.pipeline.exceptions import PipelineStepFailed

    @tool.destination(batch_size=SLICE_ROWS, name="optix", naming_convention="direct")
    def upload(items: Any, table: Any) -> None:
        # dlt made datetimes of some texts; its own encoder writes them as ISO texts again.
        body = encoder.dumpb({"data": items, "ttl_seconds": None})
        response = requests.post(url, data=body, headers={**HEADERS, "content-type": "application/json"}, timeout=60)
        response.raise_for_status()
        sent[0] += len(items)

    sent = [0]
    pipeline = tool.pipeline("upload", destination=upload, pipelines_dir=str(folder))
    try:
        pipeline.run(tool.resource(lambda: rows_of(file), name="profiles", max_table_nesting=0))
    except PipelineStepFailed as error:
        print(f"{type(error).__name__}: {error}"[:500], file=sys.stderr)
    return sent[0]


if __name__ == "__main__":
    _, name, base, file, folder = sys.argv
    url = f"{base}/connections/{os.environ['DC_ID']}/upload_data"
    print(json.dumps({"accepted": {"drt": drt, "dlt": dlt}[name](url, file, Path(folder))}))
