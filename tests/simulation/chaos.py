"""What goes wrong in a world, and when: drawn before it begins, so that a seed says all of it."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random

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
STORAGE = ("no space", "swap done, answer lost", "no answer")
"""What becomes of a write or a swap."""
MOVES = ("clear while it runs", "clear after its end", "mark failed", "zombie")
"""What Airflow, or a person in it, does to a task."""
_MANY = 24
"""About as many requests, and fifteen times as many steps, a world has."""


@dataclass
class Chaos:
    """Faults by the number of the request, write or task try that they meet. `met` counts those that were met."""

    random: Random
    requests: dict[int, str] = field(default_factory=dict)
    writes: dict[int, str] = field(default_factory=dict)
    deaths: set[int] = field(default_factory=set)
    deaths_after_closing: set[int] = field(default_factory=set)
    met: Counter[str] = field(default_factory=Counter)
    healed: bool = False
    _counts: Counter[str] = field(default_factory=Counter)

    @classmethod
    def drawn(cls, random: Random) -> "Chaos":
        """Three to eight faults, one to three deaths anywhere, and up to two where a batch was just completed."""
        chaos = cls(random)
        for _ in range(random.randint(3, 8)):
            if random.random() < 0.75:
                chaos.requests[random.randrange(_MANY)] = random.choice(ANSWERS)
            else:
                chaos.writes[random.randrange(_MANY * 15)] = random.choice(STORAGE)
        chaos.deaths = {random.randrange(20, _MANY * 15) for _ in range(random.randint(1, 3))}
        chaos.deaths_after_closing = {random.randrange(8) for _ in range(random.randint(0, 2))}
        return chaos

    def of_request(self) -> str:
        """What becomes of the next request; "" for nothing."""
        return self._next("requests", self.requests)

    def of_write(self) -> str:
        """What becomes of the next write."""
        return self._next("writes", self.writes)

    def is_last_step(self) -> bool:
        """Whether the process that makes the next step dies before it."""
        number = self._counts["steps"]
        self._counts["steps"] += 1
        if self.healed or number not in self.deaths:
            return False
        self.met["death"] += 1
        return True

    def is_end_of_closing(self) -> bool:
        """Whether the process that has just completed a batch dies before it hears of it."""
        number = self._counts["closings"]
        self._counts["closings"] += 1
        if self.healed or number not in self.deaths_after_closing:
            return False
        self.met["death after closing"] += 1
        return True

    def _next(self, what: str, planned: dict[int, str]) -> str:
        number = self._counts[what]
        self._counts[what] += 1
        fault = "" if self.healed else planned.get(number, "")
        if fault:
            self.met[fault] += 1
        return fault

    def frozen(self, step: str) -> float:
        """Seconds for which a process stands still before a step, its threads too, as a laptop sleeps; 0 mostly.

        Not between the look at the lease and the request: nothing but the server could tell then.
        """
        if self.healed or step.startswith(("request", "answer")) or self.random.random() > 0.003:
            return 0.0
        self.met["stands still"] += 1
        return self.random.uniform(30.0, 200.0)

    def delay(self) -> float:
        """Seconds that a step takes: mostly few, sometimes as long as a process may stand still without harm."""
        chance = self.random.random()
        if chance < 0.9:
            return self.random.random() * 0.3
        return self.random.random() * (2.0 if chance < 0.99 else 8.0)
