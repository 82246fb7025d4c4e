"""The files of a table that were uploaded and that nobody has seen imported yet: the vendor may process them at any
time and in any order, so what they overwrite is open until then."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

from optimove_provider.contract.dcp.readback import is_shown
from optimove_provider.contract.dcp.upload_history import Outcome
from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.loads.ledger.ledger import Ledger

OVER_AFTER = timedelta(days=30)
"""Nobody looks for an import that long: the notes must not pile up where no load ever asks."""

SILENT_AFTER = timedelta(hours=12)
"""When a file counts as imported of which no profile can show it: as long as a load waits for one that can."""

Ask = Callable[[Sequence[str]], Outcome]
"""What has become of files, by their S3 keys, so far."""


class StillImporting(OptimoveProviderError):
    """Files of an earlier load are not known to be imported: they might overwrite what comes after them."""

    retry_helps = True


class InDoubtFiles:
    """Notes beside a table's ledger, one a load: `unconfirmed/<load id>.json` has the files' keys."""

    def __init__(self, ledger: Ledger) -> None:
        self._staging, self._folder = ledger.staging, f"{ledger.manifest_file.folder}/unconfirmed"

    def note(self, load_id: str, s3_keys: Sequence[str]) -> None:
        """Remember files, before they become visible."""
        self._sweep()
        self._staging.write(
            self._path(load_id), {"s3_keys": list(s3_keys), "noted": self._staging.surroundings.now().isoformat()}
        )

    def settle(self, load_id: str, outcome: Outcome) -> None:
        """Forget a load's files if it is known what became of all of them."""
        if outcome.is_over and is_shown(outcome):
            self.drop(load_id)

    def drop(self, load_id: str) -> None:
        """Forget a load's files: what became of them is known."""
        self._staging.remove_folder(self._path(load_id))

    def refuse(self, besides: str, ask: Ask, unseen: Callable[[str], Collection[str]]) -> None:
        """Raise StillImporting while files of any load `besides` one may still be processed.

        `unseen` tells the keys of a load's files that never became visible.
        """
        self._sweep()
        others = [load_id for load_id in self._loads() if load_id != besides]
        left = [key for load_id in others for key in self._left(load_id, ask, unseen(load_id))]
        if left:
            raise StillImporting(
                f"files of earlier loads are not known to be imported, and might overwrite this one's: "
                f"{', '.join(left)}. Nothing was sent; run again when they are, or set assume_settled=True if you know "
                "that they are"
            )

    def drop_all(self) -> None:
        """Forget the files of all loads."""
        for load_id in self._loads():
            self.drop(load_id)

    def _loads(self) -> list[str]:
        return [name.removesuffix(".json") for name in self._staging.names(self._folder) if name.endswith(".json")]

    def _sweep(self) -> None:
        self._staging.sweep(self._folder, self._staging.surroundings.now() - OVER_AFTER)

    def _left(self, load_id: str, ask: Ask, unseen: Collection[str]) -> list[str]:
        """The files that are not over; if all are, they are forgotten. One that failed is over."""
        found = self._staging.read(self._path(load_id))
        if found is None:  # another load has seen that they are over
            return []
        is_recent = datetime.fromisoformat(found["noted"]) + SILENT_AFTER > self._staging.surroundings.now()
        # One by one: a file that failed says nothing of another.
        asked = {key: ask([key]) for key in found["s3_keys"] if key not in unseen}
        left = [key for key, told in asked.items() if not told.is_over or (is_recent and not is_shown(told))]
        if not left:
            self.drop(load_id)
        return left

    def _path(self, load_id: str) -> str:
        return f"{self._folder}/{load_id}.json"
