"""One result of a sweep."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from npuc.tools.sweep.plan import Combination

State = Literal["done", "failed", "died"]


@dataclass(frozen=True)
class Row:
    """What came of a combination. Figures are None where it failed, and 0 where nothing is on the NPU."""

    made_of: Combination
    state: State = "done"
    """`failed`: there is no such schedule, or an output is wrong. `died`: its process did, which a next run repeats."""
    error: str | None = None
    """One line."""
    cycles: int | None = None
    """Of all regions, by the cost model's defaults."""
    cycles_low: int | None = None
    """The same at the low end of what is uncertain in the cost model (npuc.hardware.parameters)."""
    cycles_high: int | None = None
    milliseconds: float | None = None
    """The cycles at the clock of the system."""
    sram: int | None = None
    """Bytes of SRAM that a runtime needs: the arena, or the fast memory beside one in slow memory."""
    arena: int | None = None
    """Bytes of the arena, values of the host included."""
    file: int | None = None
    """Bytes of the compiled file."""
    macs: int | None = None
    utilisation: float | None = None
    """Share of what the MAC array could have done in the time."""
    least_cycles: int | None = None
    """A bound: no schedule of the same kernels takes fewer cycles."""
    least_by: str | None = None
    """The part of the machine that is so busy."""
    cpu_operators: int | None = None
    """Operators that stay on the CPU."""
    proven: bool | None = None
    """Whether every output equalled LiteRT's; None where that was not asked for."""
    seconds: float = 0.0
    """That it took."""

    @property
    def counts(self) -> bool:
        """Whether it is a schedule that can be compared."""
        return self.state == "done" and bool(self.cycles)

    @property
    def gap(self) -> float | None:
        """How many times its cycles are those of the bound."""
        return self.cycles / self.least_cycles if self.cycles and self.least_cycles else None

    def data(self) -> dict[str, Any]:
        """Everything by name, as JSON, CSV and the database have it: the combination first, its key before all."""
        known: dict[str, Any] = {"key": self.made_of.key, **asdict(self.made_of)}
        known["options"] = " ".join(f"{name}={value}" for name, value in self.made_of.options)
        known["config"] = " ".join(self.made_of.config)
        known.update((name, value) for name, value in asdict(self).items() if name != "made_of")
        return known
