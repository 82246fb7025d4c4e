"""What goes wrong in a world, and when: drawn before it begins, so that a seed says all of it.

What is drawn on the way has a number too, by which it can be left out of a history.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random

from tests.simulation.cut import WHOLE, Cut

ANSWERS = (
    "lost before",
    "lost after",
    "late",
    "429",
    "429 for long",
    "429 odd",
    "503",
    "503 odd",
    "500 undone",
    "500 done",
    "408",
    "408 done",
    "499",
    "499 done",
    "sign-in page",
    "202",
    "cut body",
    "forbidden",
    "not found",
    "conflict",
    "refused",
    "refused by name",
    "too large",
)
"""What becomes of a request: no answer, with or without the work done, or done some seconds later; or another answer
than the right one."""
STORAGE: Mapping[str, tuple[str, ...]] = {
    "write": ("no space", "I/O error", "torn write"),
    "create": ("no space", "I/O error", "torn write"),
    "open": ("no space", "I/O error"),
    "link": ("I/O error",),
    "remove": ("I/O error",),
    "swap": ("swap done, answer lost", "no answer"),
    "read": ("slow read",),
}
"""What becomes of each kind of step of the storage."""
S3 = (
    "S3 not reached",
    "S3 lost before",
    "S3 lost after",
    "S3 late",
    "S3 500 undone",
    "S3 500 done",
    "S3 503",
    "S3 409",
    "S3 403",
    "S3 400",
    "S3 clock",
    "S3 page",
    "upload forgotten",
)
"""What becomes of a request to a bucket. A page is a success that lacks what S3 tells. An upload is forgotten as by a
rule of the bucket for old ones."""
IMPORTS = ("import fails", "row is refused", "row is dropped")
"""What becomes of a file: nothing of it is imported; or all but one row, of which the history tells, or nobody does."""
HISTORIES = ("history lacks files", "history is old", "history is odd", "history is cut")
"""What becomes of an answer of the upload history: it lacks what it had, or says what it said before, or has entries
that are none, or no end."""
FILES = (*S3, *IMPORTS, *HISTORIES)
DEATHS = ("death", "death after closing", "loss of power")
"""How a process ends that is not asked."""
HALTS = ("stands still", "clock jumps")
"""What happens to a process, or to its worker, that goes on."""
MOVES = ("clear while it runs", "clear after its end", "mark failed", "run deleted", "zombie")
"""What Airflow, or a person in it, does to a task."""
FAULTS = tuple(dict.fromkeys((*ANSWERS, *(fault for some in STORAGE.values() for fault in some), *DEATHS, *HALTS)))
CLASSES: Mapping[str, tuple[str, ...]] = {
    "answers": ANSWERS,
    "storage": tuple(dict.fromkeys(fault for some in STORAGE.values() for fault in some)),
    "files": FILES,
    "deaths": DEATHS,
    "halts": HALTS,
    "moves": MOVES,
}
"""Kinds of trouble."""
_CLASS_OF = {name: kind for kind, names in CLASSES.items() for name in names}


def classes_of(names: Iterable[str]) -> set[str]:
    """The kinds of trouble that faults and moves are of."""
    return {_CLASS_OF[name] for name in names}


_MANY = 24
"""About as many requests, and fifteen times as many steps, a world has."""
_WRITES = {"write": 12, "create": 1, "open": 4, "link": 1, "remove": 1, "swap": 5, "read": 24}
"""About as many of 24 steps are of each kind."""
_JUMP = 4.0
"""Seconds by which a worker's clock is set right, or wrong, at once. Leases bear differences of some 20 seconds."""


@dataclass
class Chaos:
    """Faults by the number of the request, write or step that they meet. `met` counts those that were met, `happened`
    has the names of all by which they can be left out; `last_at` is when the last one was."""

    random: Random
    cut: Cut = WHOLE
    requests: dict[int, str] = field(default_factory=dict)
    writes: dict[str, dict[int, str]] = field(default_factory=dict)
    deaths: dict[int, str] = field(default_factory=dict)
    deaths_after_closing: set[int] = field(default_factory=set)
    met: Counter[str] = field(default_factory=Counter)
    happened: list[str] = field(default_factory=list)
    healed: bool = False
    clock: Callable[[], float] = lambda: 0.0
    last_at: float = 0.0
    _counts: Counter[str] = field(default_factory=Counter)

    @classmethod
    def drawn(cls, random: Random, cut: Cut = WHOLE) -> "Chaos":
        """Four to nine faults, one to three deaths anywhere, and up to two where a batch was just completed."""
        chaos = cls(random, cut)
        kinds = [kind for kind in STORAGE]
        for _ in range(random.randint(4, 9)):
            if random.random() < 0.6:
                chaos.requests[random.randrange(_MANY)] = random.choice(ANSWERS)
            else:
                kind = random.choice(kinds)
                numbers = chaos.writes.setdefault(kind, {})
                numbers[random.randrange(_WRITES[kind] * 8)] = random.choice(STORAGE[kind])
        for _ in range(random.randint(1, 3)):
            chaos.deaths[random.randrange(20, _MANY * 15)] = random.choice(("death", "death", "loss of power"))
        chaos.deaths_after_closing = {random.randrange(8) for _ in range(random.randint(0, 2))}
        return chaos

    def of_request(self) -> str:
        """What becomes of the next request; "" for nothing."""
        return self._next("request", self.requests)

    def of_storage(self, kind: str) -> str:
        """What becomes of the next step of the storage, of one of the kinds of STORAGE."""
        return self._next(kind, self.writes.get(kind, {}))

    def death(self) -> str:
        """How the process dies that makes the next step, before it; "" if it does not."""
        return self._next("step", self.deaths)

    def is_end_of_closing(self) -> bool:
        """Whether the process that has just completed a batch dies before it hears of it."""
        return bool(self._next("closing", dict.fromkeys(self.deaths_after_closing, "death after closing")))

    def planned(self, kind: str, faults: Mapping[int, str]) -> str:
        """What becomes of the next thing of a kind that only some targets have; `faults` by its number."""
        return self._next(kind, faults)

    def does(self, what: str, chance: float, counts: bool = True) -> bool:
        """Whether something happens that is drawn on the way; it may be counted later, where something comes of it."""
        if self.healed or self.random.random() >= chance:
            return False
        number = self._counts[what]
        self._counts[what] += 1
        return self._happens(f"{what} {number}", what, counts)

    def _next(self, kind: str, planned: Mapping[int, str]) -> str:
        number = self._counts[kind]
        self._counts[kind] += 1
        fault = "" if self.healed else planned.get(number, "")
        return fault if fault and self._happens(f"{kind} {number}", fault) else ""

    def _happens(self, name: str, what: str, counts: bool = True) -> bool:
        if not (self.cut.keeps(name) and self.cut.allows(_CLASS_OF[what])):
            return False
        if counts:
            self.met[what] += 1
        self.last_at = self.clock()
        self.happened.append(name)
        return True

    def moves(self, number: int, what: str) -> bool:
        """Whether a person's move is made, now that it can be."""
        return not self.healed and self._happens(f"move {number}", what)

    def frozen(self, step: str) -> float:
        """Seconds for which a process stands still before a step, its threads too, as a laptop sleeps; 0 mostly.

        Not between the look at the lease and the request: nothing but the server could tell then.
        """
        if step.startswith(("request", "answer")) or not self.does("stands still", 0.003):
            return 0.0
        return self.random.uniform(30.0, 200.0)

    def jump(self) -> float:
        """Seconds by which the clock of a process' worker jumps before a step, as it is set: forward or backward; 0
        mostly."""
        return self.random.uniform(-_JUMP, _JUMP) if self.does("clock jumps", 0.003) else 0.0

    def delay(self) -> float:
        """Seconds that a step takes: mostly few, sometimes as long as a process may stand still without harm."""
        chance = self.random.random()
        if chance < 0.9:
            return self.random.random() * 0.3
        return self.random.random() * (2.0 if chance < 0.99 else 8.0)
