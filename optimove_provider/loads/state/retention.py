"""For how long staging keeps what nothing needs any more. Whatever may still be needed stays, however old it is."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Retention:
    """`days`: how long reports, rejected rows, and loads that nobody took up again stay. `loads`: at most so many loads
    that have ended stay, the newest; 0 for any number. `replaced`: how long files stay that a ledger has replaced, as
    who reads it without its lease, such as a dry run or a backup, may still have them open."""

    days: int = 30
    loads: int = 0
    replaced: timedelta = timedelta(days=1)


UNLESS_TOLD = Retention()
