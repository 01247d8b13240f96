"""Asking Intercom for some objects by id, and reading what the tables hold of them right after."""

from collections.abc import Container, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from intercom_api.errors import IntercomError, NotAuthorizedError
from intercom_api.http.client import IntercomClient
from models.rule.content import VOLATILE
from models.rule.observations import ArchivedFact, Observation
from workers.facts.from_fetch import report_from_fetch
from workers.verify.compare import DRIFTING_LISTS, Comparison, MirrorObject, compare
from workers.verify.context import THREADS, VerifyContext
from workers.verify.mirror_side import read

# Objects asked for before the tables are read once for all of them: few enough that both sides are of one moment, and
# that one search finds those among them that are archived.
TOGETHER = 40

# Seconds by which Intercom's lists and searches may be behind.
INDEX_LAG_SECONDS = 300

_encode = msgspec.json.Encoder(order="deterministic").encode


class ObjectCheck(NamedTuple):
    """
    One look at both sides of an object.

    `comparison`: None if Intercom did not respond. `dirty`: a refetch is owed. `state`: bytes that change when
    Intercom's side does (but for what it changes without telling) or the version that we hold.
    """

    comparison: Comparison | None
    dirty: bool
    state: bytes


def check_objects(
    tools: VerifyContext, workspace_id: str, object_type: str, ids: Sequence[str], shown: Container[object] = ()
) -> Iterator[tuple[str, ObjectCheck]]:
    """
    Look at objects, a few at a time.

    Args:
        tools: both sides.
        workspace_id: whose objects.
        object_type: contact, company, tag or segment.
        ids: of the objects.
        shown: ids that a list has just shown, so that they are not archived.

    Raises:
        NotAuthorizedError: the token opens nothing any more.
        TransientError: Intercom does not answer searches.
    """

    def ask(object_id: str) -> Observation | None:
        try:
            answer = tools.fetch(workspace_id, object_type, object_id)
            return report_from_fetch(workspace_id, object_type, object_id, answer, 0).observations[0]
        except NotAuthorizedError:
            raise
        except IntercomError:
            return None

    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        for at in range(0, len(ids), TOGETHER):
            some = ids[at : at + TOGETHER]
            told = dict(zip(some, pool.map(ask, some), strict=True))
            kept = read(tools.reader, workspace_id, object_type, some)
            told |= _with_archive(tools.client, told, kept, shown)
            yield from ((each, _judge(told[each], kept[each])) for each in some)


def _judge(seen: Observation | None, kept: MirrorObject) -> ObjectCheck:
    if seen is None:
        return ObjectCheck(None, kept.dirty, b"")
    comparison = compare(seen, kept)
    content = {name: value for name, value in (seen.content or {}).items() if name not in VOLATILE}
    lists = {kind: sorted(told.ids) for kind, told in seen.lists.items() if kind not in DRIFTING_LISTS}
    into = None if seen.merged is None else seen.merged.into_id
    both: list[Any] = [comparison.kind, comparison.fields, seen.deleted_at_ms is None, into, content, lists]
    return ObjectCheck(comparison, kept.dirty, _encode([*both, kept.registers.version]))


def _with_archive(
    client: IntercomClient,
    told: Mapping[str, Observation | None],
    kept: Mapping[str, MirrorObject],
    shown: Container[object],
) -> dict[str, Observation]:
    """
    Say of each contact whether it is archived, where the answer did not: lists and searches hide those that are.

    What is too new for a search stays unsaid.
    """
    unsaid = {
        object_id: seen
        for object_id, seen in told.items()
        if seen is not None and seen.type == "contact" and seen.confirmed_at_ms is not None and seen.archived is None
    }
    # What a list has shown a while ago may have been archived since.
    said = {each: False for each in unsaid if each in shown and not (kept[each].row or {}).get("archived")}
    asked = [each for each, seen in unsaid.items() if each not in said and not _too_new(seen, kept[each])]
    found = _searched(client, asked) if asked else set()
    said |= {each: each not in found for each in asked}
    return {each: replace(unsaid[each], archived=ArchivedFact(0, "", archived)) for each, archived in said.items()}


def _too_new(seen: Observation, kept: MirrorObject) -> bool:
    created_at = (seen.content or {}).get("created_at")
    moments = [created_at if isinstance(created_at, int) else 0]
    if kept.registers.archived is not None:
        moments.append(kept.registers.archived.created_at)
    assert seen.confirmed_at_ms is not None  # noqa: S101 -- the caller looked
    return max(moments) > seen.confirmed_at_ms // 1000 - INDEX_LAG_SECONDS


def _searched(client: IntercomClient, ids: Sequence[str]) -> set[str]:
    page = client.search_contacts({"field": "id", "operator": "IN", "value": list(ids)}, None)
    return {str(item.get("id")) for item in page.items}
