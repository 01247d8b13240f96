"""What a verification found: the verdict, and as much of the evidence as a person reads."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import Engine

from models.db.bulk import upsert
from models.db.engine import transaction
from models.tables.column_types import datetime_text
from models.tables.internal_tables import sync_marks
from workers.verify.compare import Comparison

Verdict = Literal["equal", "differing", "unsure"]

# Differences kept by name: more than can come of one verification, which looks again at two thousand candidates, and of
# the attributes.
KEPT = 20_000

# By result, what the command ends with.
EXIT_CODES: dict[Verdict, int] = {"equal": 0, "differing": 3, "unsure": 4}

# In the order in which they are shown.
OBJECT_TYPES = ("contact", "company", "tag", "segment", "data_attribute")
# Those that sync_status has a line for.
_MARKED = ("contact", "company", "tag", "segment")


class Difference(NamedTuple):
    """One object that is not the same on both sides; `fields` are names, never values."""

    object_type: str
    object_id: str
    kind: str
    fields: tuple[str, ...]


@dataclass
class VerifyOutcome:
    """
    Grows while the verification goes on.

    Attributes:
        compared: objects looked at, by type.
        differences: the first ones, see KEPT.
        counted: all of them, by (type, kind).
        drifted: how often a field or list differs that Intercom changes without telling.
        unsettled: objects that could not be judged, by type.
        totals: by type (in Intercom, here), as far as both are known.
        reasons: sentences that say why something could not be told.
        repaired: objects that were put right.
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
        """Count an object's settled finding."""
        self.drifted.update(comparison.drifted)
        if comparison.kind == "equal":
            return
        self.counted[object_type, comparison.kind] += 1
        if len(self.differences) < KEPT:
            self.differences.append(Difference(object_type, object_id, comparison.kind, comparison.fields))

    def recall(self, keys: Iterable[tuple[str, str]]) -> None:
        """Take back what was found of objects that are judged anew; of those not kept by name nothing is known."""
        again = set(keys)
        for each in self.differences:
            if (each.object_type, each.object_id) in again:
                self.counted[each.object_type, each.kind] -= 1
        self.counted = +self.counted
        self.differences = [each for each in self.differences if (each.object_type, each.object_id) not in again]

    def add_reason(self, reason: str) -> None:
        """Keep a reason, once."""
        if reason not in self.reasons:
            self.reasons.append(reason)

    @property
    def result(self) -> Verdict:
        """The verdict: one certain difference is enough to differ, one uncertainty to be unsure."""
        if self.counted:
            return "differing"
        return "unsure" if self.reasons or self.unsettled else "equal"

    @property
    def exit_code(self) -> int:
        """What the command ends with."""
        return EXIT_CODES[self.result]

    def result_of(self, object_type: str) -> str:
        """Return what sync_status says of a type: a word, and the numbers if there are any."""
        differing = sum(count for (of, _), count in self.counted.items() if of == object_type)
        if differing:
            return f"differing: {differing}"
        if self.unsettled[object_type]:
            return f"unsure: {self.unsettled[object_type]}"
        if self.reasons:
            return "unsure"
        return "equal" if self.mode == "full" else f"equal (sample of {self.compared[object_type]})"

    def as_dict(self) -> dict[str, Any]:
        """Return what --json prints."""
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


def mark(writer: Engine, outcome: VerifyOutcome, now: datetime) -> None:
    """Let sync_status show the result."""
    columns = ("workspace_id", "object_type", "last_verify_at", "last_verify_result")
    stamp = datetime_text(now)
    rows = [(outcome.workspace_id, of, stamp, outcome.result_of(of)) for of in sorted(_MARKED)]
    with transaction(writer) as connection:
        upsert(connection, sync_marks, columns, rows)
