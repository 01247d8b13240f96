"""Going through everything that Intercom lists, and then through everything of ours that it did not list."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import func, select

from intercom_api.errors import MalformedNotificationError, NotFoundError
from intercom_api.http.pages import Page
from models.rule.observations import Observation
from models.tables.public_tables import ENTITIES
from workers.facts.from_fetch import FoundObject, report_from_fetch
from workers.refetch.fetch_object import with_whole_lists
from workers.verify.compare import compare
from workers.verify.context import THREADS, VerifyContext
from workers.verify.id_set import Seen
from workers.verify.intercom_lists import pages_of
from workers.verify.intercom_side import check_objects
from workers.verify.mirror_side import ids_of, merged_ids, read
from workers.verify.outcome import VerifyOutcome
from workers.verify.recheck import MOST, Key

NAMES = {"contact": "contacts", "company": "companies", "tag": "tags", "segment": "segments"}

# How often a list is gone through that showed fewer objects than it counts: it moves while it is read.
_MOST_PASSES = 3


class Walk:
    """
    One walk.

    Attributes:
        shown: by type, the ids that Intercom listed.
        candidates: objects that seemed to differ, at most MOST of them.
    """

    def __init__(self, tools: VerifyContext, outcome: VerifyOutcome) -> None:
        self.tools = tools
        self.outcome = outcome
        self.shown: dict[str, Seen] = {}
        self.candidates: set[Key] = set()

    def listed(self, object_type: str) -> None:
        """Compare everything of a type that Intercom lists. Raises what the client raises."""
        shown = self.shown[object_type] = Seen()
        total: int | None = None
        with ThreadPoolExecutor(max_workers=THREADS) as pool:
            for number in range(_MOST_PASSES):
                for page in pages_of(self.tools.client, object_type, first=number == 0):
                    total = page.total if page.total is not None else total
                    self._page(object_type, page, pool)
                if total is None or len(shown) >= total:
                    break
            else:
                self.outcome.add_reason("Intercom's list kept moving while it was read. Try again in a quieter hour.")
        self.outcome.totals[object_type] = (len(shown), self._count(object_type))

    def unlisted(self, object_type: str) -> None:
        """Look by id at what we hold and Intercom did not list: archived, hidden, or gone."""
        pieces = [ids_of(self.tools.reader, self.outcome.workspace_id, object_type)]
        if object_type == "contact":
            pieces.append(merged_ids(self.tools.reader, self.outcome.workspace_id))
        looked = Seen()
        for piece in (piece for each in pieces for piece in each):
            ids = [each for each in piece if each not in self.shown[object_type] and looked.add(each)]
            for object_id, seen in check_objects(self.tools, self.outcome.workspace_id, object_type, ids):
                if seen.comparison is not None and seen.comparison.kind == "equal":
                    self.outcome.record(object_type, object_id, seen.comparison)
                else:
                    self._suspect((object_type, object_id))
                self.outcome.compared[object_type] += 1
            self._tell(object_type, None)

    def _page(self, object_type: str, page: Page, pool: ThreadPoolExecutor) -> None:
        """Compare a page; where it may be read twice, it is counted once."""
        seen = [each for each in pool.map(lambda item: self._read(object_type, item, page), page.items) if each]
        kept = read(self.tools.reader, self.outcome.workspace_id, object_type, [each.id for each in seen])
        for each in seen:
            if not self.shown[object_type].add(each.id):
                continue
            comparison = compare(each, kept[each.id])
            if comparison.kind == "equal":
                self.outcome.record(object_type, each.id, comparison)
            else:
                self._suspect((object_type, each.id))
            self.outcome.compared[object_type] += 1
        self._tell(object_type, page.total)

    def _read(self, object_type: str, item: dict[str, Any], page: Page) -> Observation | None:
        try:
            whole = with_whole_lists(self.tools.client, item) if object_type == "contact" else item
            answer = FoundObject(whole, page.as_of_ms, archived=False if object_type == "contact" else None)
            return report_from_fetch(self.outcome.workspace_id, object_type, str(item["id"]), answer, 0).observations[0]
        except NotFoundError:
            return None
        except (MalformedNotificationError, KeyError):
            self.outcome.add_reason(f"Intercom sent a {object_type} in a form that cannot be read.")
            return None

    def _suspect(self, key: Key) -> None:
        if len(self.candidates) < MOST:
            self.candidates.add(key)
        else:
            self.outcome.add_reason(
                f"More than {MOST} objects seemed to differ, and not all were looked at again."
                " Run `intercom-mirror reconcile --full` first."
            )

    def _count(self, object_type: str) -> int:
        table = ENTITIES[object_type].table
        query = select(func.count()).select_from(table).where(table.c.workspace_id == self.outcome.workspace_id)
        with self.tools.reader.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def _tell(self, object_type: str, total: int | None) -> None:
        self.tools.progress(self.outcome.compared[object_type], total, f"comparing {NAMES[object_type]}")
