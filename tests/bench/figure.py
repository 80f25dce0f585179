"""A measured figure: its name, value and goal, and the line that shows it."""

import statistics
from dataclasses import dataclass, field


@dataclass
class Figure:
    """One figure of a case; several runs are one figure with several values."""

    name: str
    value: float
    unit: str
    goal: float | None = None  # at most so much
    note: str = ""
    values: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.values = self.values or [self.value]

    def add(self, other: "Figure") -> None:
        """One more run: the median counts, the newest note stands."""
        self.values.append(other.value)
        self.value = statistics.median(self.values)
        self.note = other.note

    @property
    def verdict(self) -> str:
        """ok, over, or nothing where there is no goal."""
        if self.goal is None:
            return ""
        return "ok" if self.value <= self.goal else "over"

    def line(self) -> str:
        """For people."""
        goal = f"goal <= {_number(self.goal)}" if self.goal is not None else ""
        text = f"{self.name:40} {_number(self.value):>9} {self.unit:11} {goal:16} {self.verdict:4}"
        notes = [self.note] if self.note else []
        if len(self.values) > 1:
            notes.insert(0, f"{len(self.values)} runs {_number(min(self.values))} … {_number(max(self.values))}")
        return f"{text}  {'; '.join(notes)}".rstrip()

    def json(self) -> dict[str, object]:
        """For programs."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "goal": self.goal,
            "verdict": self.verdict,
            "values": self.values,
            "note": self.note,
        }


def _number(value: float) -> str:
    if value and abs(value) < 0.01:
        return f"{value:.5f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
