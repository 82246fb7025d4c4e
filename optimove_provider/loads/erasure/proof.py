"""The proof of what was made to expire: a line for each key, with when and how the server answered.

`airflow optimove forget` takes the key out of it later, and leaves the digest: whoever has the key, and the salt, can
still tell that it is the person's line.
"""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from optimove_provider.contract.wire.messages import json_body
from optimove_provider.loads.optix.rejected_rows import SliceOutcomes
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.freeze import Spool
from optimove_provider.loads.spool.slices import RowFiles
from optimove_provider.loads.state.journal import Journal
from optimove_provider.loads.suppression.key_digests import KeyDigests, key_text

ENDING = ".expired.jsonl"
EXPIRED, REFUSED, NEWER = "expired", "refused", "left: the target has a newer record"
"""What became of a key: the answer to its request was a success, and so was that to the one that completed the batch;
its record was refused, and stays; a later load brought it."""


def write_proof(
    journal: Journal, spool: Spool, sent: RowFiles, outcomes: SliceOutcomes, report: Report, digests: KeyDigests
) -> None:
    """Write it beside the report, which names it. Keys that could not travel are in the rejected file instead."""
    path = f"reports/{report.load_id}{ENDING}"
    about = {"load": report.load_id, "target": report.target, "batch_uuid": report.batch_uuid}
    with journal.staging.open_new(path) as out:
        for line in chain(_of_sent(journal, sent, outcomes), _left(journal, spool, sent)):
            text = key_text(line["key"])
            told = {**about, **line, "key": text, "digest": digests.shown(text)}
            out.write(json_body(told) + b"\n")
    report.proof = journal.staging.url(path)


def _of_sent(journal: Journal, sent: RowFiles, outcomes: SliceOutcomes) -> Iterator[Mapping[str, Any]]:
    keys = (key for batch in sent.columns(journal.staging, ["_key"]) for key in batch["_key"].to_pylist())
    answers = journal.outcomes()  # which say when; not of a slice whose answer died with its process
    for slice_ in sent.read(journal.staging, range(sent.slices)):
        outcome = outcomes.by_slice[slice_.number]
        answered_at = answers[slice_.number].at if slice_.number in answers else None
        refused = {one.position: one for one in outcome.rejected}
        for position, row in enumerate(slice_.rows.to_pylist()):
            one = refused.get(position)
            answered = {"status": one.status, "reason": one.reason} if one else {}
            outcome_told = REFUSED if one else EXPIRED
            yield {"row": row, "key": next(keys), "outcome": outcome_told, **answered, "answered": answered_at}


def _left(journal: Journal, spool: Spool, sent: RowFiles) -> Iterator[Mapping[str, Any]]:
    _, last = row_files.size(journal.staging, spool.parts.folder)
    left = ~row_files.empty_mask(last)
    for batch in sent.columns(journal.staging, ["_row"]):
        left[batch["_row"].to_numpy()] = False
    for batch in row_files.pick_rows(journal.staging, spool.parts.folder, left):
        for row, key in zip(batch["_row"].to_pylist(), batch["_key"].to_pylist(), strict=True):
            yield {"row": row, "key": key, "outcome": NEWER}
