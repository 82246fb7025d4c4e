"""The files of a table that are in doubt: uploaded, and not known to be imported. The vendor may process them at any
time and in any order, so what they overwrite is open until then."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

from optimove_provider.contract.dcp.profiles import READ_PROFILE
from optimove_provider.contract.dcp.readback import is_shown, is_unreadable, unreadable
from optimove_provider.contract.dcp.upload_history import Outcome
from optimove_provider.contract.next_steps import NextStep
from optimove_provider.contract.wire.errors import ApiError, OptimoveProviderError, Unreachable, UnreadableAnswer
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.ledger.manifest import CommitConflict

FOLDER = "in-doubt"
"""Beside a ledger's manifest."""

OVER_AFTER = timedelta(days=30)
"""Nobody looks for an import that long: the records must not pile up where no load ever asks."""

SILENT_AFTER = timedelta(hours=12)
"""When a file counts as imported of which no profile can show it: as long as a load waits for one that can."""

UNKNOWN = "what the table holds of this load's keys is unknown: the next load sends them again"

OutcomeOf = Callable[[Sequence[str]], Outcome]
"""What has become of files, by their S3 keys, so far."""


class StillImporting(OptimoveProviderError):
    """Files of an earlier load are not known to be imported: they might overwrite what comes after them."""

    retry_helps = True
    then = NextStep.WAITS_ON


class UploadConflict(CommitConflict):
    """Files of a load are visible, and others have written to the table before the load was entered: it never will
    be, and a retry cannot send its rows again under the same names."""

    retry_helps = False
    then = NextStep.CLEAR

    @classmethod
    def by(cls, load_id: str, expected: int, found: int) -> "UploadConflict":
        """The error of a load that was planned against one version of the ledger, of which there is another now."""
        return cls(
            f"files of load {load_id} were uploaded, and others have changed the table's ledger since: {UNKNOWN}",
            expected,
            found,
        )


class InDoubtFiles:
    """Records beside a table's ledger, one a load: `in-doubt/<load id>.json` has the files' keys."""

    def __init__(self, ledger: Ledger) -> None:
        self._staging, self._folder = ledger.staging, f"{ledger.manifest_file.folder}/{FOLDER}"

    def record(self, load_id: str, s3_keys: Sequence[str]) -> None:
        """Remember files, before they become visible."""
        self._sweep()
        self._staging.write(self._path(load_id), {"s3_keys": list(s3_keys), "recorded": self._now().isoformat()})

    def settle(self, load_id: str, outcome: Outcome) -> None:
        """Forget a load's files if it is known what became of all of them."""
        if outcome.is_over and is_shown(outcome):
            self.forget(load_id)

    def forget(self, load_id: str) -> None:
        """Forget a load's files: what became of them is known."""
        self._staging.remove_folder(self._path(load_id))

    def forget_all(self) -> None:
        """Forget the files of all loads."""
        for load_id in self._loads():
            self.forget(load_id)

    def resolve_others(
        self, load_id: str, outcome_of: OutcomeOf, never_visible: Callable[[str], Collection[str]]
    ) -> None:
        """Ask what became of the files of all loads but this one. Raises StillImporting while any is in doubt.

        `never_visible` tells the keys of a load's files that never became visible.
        """
        self._sweep()
        others = [other for other in self._loads() if other != load_id]
        left = [key for other in others for key in self._resolve(other, outcome_of, never_visible(other))]
        if left:
            raise StillImporting(
                f"files of earlier loads are not known to be imported, and might overwrite this one's: "
                f"{', '.join(left)}. Nothing was sent; run again when they are, or set assume_settled=True if you know "
                "that they are"
            )

    def _resolve(self, load_id: str, outcome_of: OutcomeOf, never_visible: Collection[str]) -> list[str]:
        """The files that stay in doubt; if none does, the load's are forgotten. One that failed is over."""
        found = self._staging.read(self._path(load_id))
        if found is None:  # another load has seen that they are over
            return []
        is_recent = datetime.fromisoformat(found["recorded"]) + SILENT_AFTER > self._now()
        # One by one: a file that failed says nothing of another.
        outcomes = {key: _asked(outcome_of, key) for key in found["s3_keys"] if key not in never_visible}
        left = [
            _told(key, one) for key, one in outcomes.items() if not one.is_over or (is_recent and not is_shown(one))
        ]
        if not left:
            self.forget(load_id)
        return left

    def _loads(self) -> list[str]:
        return [name.removesuffix(".json") for name in self._staging.names(self._folder) if name.endswith(".json")]

    def _sweep(self) -> None:
        self._staging.sweep(self._folder, self._now() - OVER_AFTER)

    def _now(self) -> datetime:
        return self._staging.surroundings.now()

    def _path(self, load_id: str) -> str:
        return f"{self._folder}/{load_id}.json"


def _asked(outcome_of: OutcomeOf, s3_key: str) -> Outcome:
    """What became of a file. That profiles cannot be read is an answer too: else no load would ever go on."""
    try:
        return outcome_of([s3_key])
    except (ApiError, Unreachable, UnreadableAnswer) as error:
        if error.endpoint.name != READ_PROFILE.name:
            raise
        return unreadable([s3_key], error)


def _told(s3_key: str, outcome: Outcome) -> str:
    return outcome.sentence if is_unreadable(outcome) else s3_key
