"""The outcome of a verification: the verdict, and as much evidence as a person reads."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from workers.verify.compare import Comparison

Verdict = Literal["equal", "differing", "unsure"]

# Differences kept by name: more than one verification finds, which rechecks two thousand candidates, and compares the
# attributes.
MAX_DIFFERENCES = 20_000

# Exit code of the command, by verdict.
EXIT_CODES: dict[Verdict, int] = {"equal": 0, "differing": 3, "unsure": 4}

# In the order in which they are shown.
OBJECT_TYPES = ("contact", "company", "tag", "segment", "data_attribute")


class Difference(NamedTuple):
    """One object that is not equal on both sides; `fields` are names, never values."""

    object_type: str
    object_id: str
    kind: str
    fields: tuple[str, ...]


@dataclass
class VerifyOutcome:
    """
    The results of a verification so far.

    Attributes:
        workspace_id: the workspace.
        mode: "full" or "quick".
        compared: number of objects compared, by type.
        differences: the first MAX_DIFFERENCES differences.
        counted: number of all differences, by (type, kind).
        drifted: how often a field or list differs that Intercom changes without a notification.
        unsettled: number of objects without a certain result, by type.
        totals: by type the numbers of objects (in Intercom, here), as far as both are known.
        reasons: sentences that explain why something is uncertain.
        repaired: number of objects that were repaired.
    """

    workspace_id: str
    mode: str
    compared: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    counted: Counter[tuple[str, str]] = field(default_factory=Counter)
    drifted: Counter[str] = field(default_factory=Counter)
    unsettled: Counter[str] = field(default_factory=Counter)
    totals: dict[str, tuple[int, int]] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    repaired: int = 0

    def record(self, object_type: str, object_id: str, comparison: Comparison) -> None:
        """Count the certain result of an object."""
        self.drifted.update(comparison.drifted)
        if comparison.kind == "equal":
            return
        self.counted[object_type, comparison.kind] += 1
        if len(self.differences) < MAX_DIFFERENCES:
            self.differences.append(Difference(object_type, object_id, comparison.kind, comparison.fields))

    def discard(self, keys: Iterable[tuple[str, str]]) -> None:
        """Remove the differences of objects that are compared again, as far as they were kept by name."""
        discarded = set(keys)
        for each in self.differences:
            if (each.object_type, each.object_id) in discarded:
                self.counted[each.object_type, each.kind] -= 1
        self.counted = +self.counted
        self.differences = [each for each in self.differences if (each.object_type, each.object_id) not in discarded]

    def add_reason(self, reason: str) -> None:
        """Add a reason for uncertainty, once."""
        if reason not in self.reasons:
            self.reasons.append(reason)

    @property
    def result(self) -> Verdict:
        """The verdict: one certain difference makes it "differing", otherwise one uncertainty "unsure"."""
        if self.counted:
            return "differing"
        return "unsure" if self.reasons or self.unsettled else "equal"

    @property
    def exit_code(self) -> int:
        """The exit code of the command."""
        return EXIT_CODES[self.result]

    def result_of(self, object_type: str) -> str:
        """Return the value of `last_verify_result` for a type: a word, and a number where there is one."""
        differing = sum(count for (of, _), count in self.counted.items() if of == object_type)
        if differing:
            return f"differing: {differing}"
        if self.unsettled[object_type]:
            return f"unsure: {self.unsettled[object_type]}"
        if self.reasons:
            return "unsure"
        return "equal" if self.mode == "full" else f"equal (sample of {self.compared[object_type]})"

    def as_dict(self) -> dict[str, Any]:
        """Return the object that --json prints."""
        return {
            "workspace_id": self.workspace_id,
            "mode": self.mode,
            "result": self.result,
            "exit_code": self.exit_code,
            "compared": dict(self.compared),
            "differing": {f"{of}.{kind}": count for (of, kind), count in sorted(self.counted.items())},
            "differences": [each._asdict() for each in self.differences],
            "drifted": dict(sorted(self.drifted.items())),
            "unsettled": dict(self.unsettled),
            "totals": {of: {"intercom": there, "here": here} for of, (there, here) in self.totals.items()},
            "reasons": self.reasons,
            "repaired": self.repaired,
        }
