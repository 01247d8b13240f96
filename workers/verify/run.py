"""Run a verification, from the first page to the result in `sync_status`."""

from datetime import UTC, datetime
from typing import Literal

from intercom_api.errors import IntercomError, NotAuthorizedError
from models.db.bulk import upsert
from models.db.engine import transaction
from models.tables.column_types import datetime_text
from models.tables.internal_tables import sync_marks
from workers.verify.context import VerifyContext
from workers.verify.full import FullComparison
from workers.verify.outcome import VerifyOutcome
from workers.verify.quick import compare_counts, select_sample
from workers.verify.recheck import CandidateKey, recheck
from workers.verify.repair import repair as repair_differences

Mode = Literal["full", "quick"]

# The types that sync_status has a row for.
_MARKED_TYPES = ("company", "contact", "segment", "tag")


def verify(context: VerifyContext, workspace_id: str, mode: Mode, *, repair: bool = False) -> VerifyOutcome:
    """
    Compare the tables with Intercom.

    1. Full: compare all objects (`FullComparison`). Quick: compare the numbers of objects and select a sample.
    2. Recheck what seemed to differ, or the sample, until the results are certain (`recheck`).
    3. With `repair`, have the differences refetched and recheck them (`repair_differences`).
    4. Store the result in `sync_status`. If Intercom failed in between, the result is uncertain.

    Args:
        context: both sides.
        workspace_id: a connected workspace.
        mode: "full" or "quick".
        repair: have what differs refetched; the outcome is then that of the recheck.

    Raises:
        NotAuthorizedError: the token was refused; the caller ends the connection.
    """
    outcome = VerifyOutcome(workspace_id, mode)
    try:
        candidates, listed = _first_pass(context, outcome)
        differing = recheck(context, outcome, sorted(candidates), listed)
        if repair and differing:
            repair_differences(context, outcome, differing, listed)
    except NotAuthorizedError:
        raise
    except IntercomError as error:
        outcome.add_reason(str(error))
    _store_result(context, outcome, datetime.now(UTC))
    return outcome


def _first_pass(context: VerifyContext, outcome: VerifyOutcome) -> tuple[set[CandidateKey], dict[str, set[str]]]:
    if outcome.mode == "quick":
        compare_counts(context, outcome)
        return select_sample(context, outcome)
    comparison = FullComparison(context, outcome)
    comparison.run()
    return comparison.candidates, comparison.listed


def _store_result(context: VerifyContext, outcome: VerifyOutcome, now: datetime) -> None:
    columns = ("workspace_id", "object_type", "last_verify_at", "last_verify_result")
    stamp = datetime_text(now)
    rows = [(outcome.workspace_id, of, stamp, outcome.result_of(of)) for of in _MARKED_TYPES]
    with transaction(context.writer) as connection:
        upsert(connection, sync_marks, columns, rows)
