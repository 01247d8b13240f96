"""Compare everything that Intercom lists, and then everything in the tables that it did not list."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any, Literal

from intercom_api.errors import MalformedNotificationError, NotFoundError
from intercom_api.http.pages import Page
from models.rule.observations import Observation
from workers.facts.from_fetch import FoundObject, report_from_fetch
from workers.refetch.fetch_object import complete_contact_lists
from workers.verify.compare import attribute_name, compare, compare_attribute
from workers.verify.context import THREADS, VerifyContext
from workers.verify.intercom_side import check_objects, list_pages
from workers.verify.mirror_side import count_objects, iter_ids, iter_merged_ids, read_attributes, read_objects
from workers.verify.outcome import VerifyOutcome
from workers.verify.recheck import MAX_CANDIDATES, CandidateKey

# The types with a list, in the order in which they are compared, with their plurals.
_TYPES = {"contact": "contacts", "company": "companies", "tag": "tags", "segment": "segments"}

# The type of a data attribute in the outcome, and the kinds of objects that have attributes.
_ATTRIBUTE = "data_attribute"
_ATTRIBUTE_MODELS: tuple[Literal["contact", "company"], ...] = ("contact", "company")

# Passes over a list that contained fewer objects than it counts, because it changed while it was read.
_MAX_PASSES = 3


class FullComparison:
    """
    A comparison of all objects of a workspace.

    For contacts, companies, tags and segments, in this order:

    1. Read all pages of Intercom's list. Complete the cut lists of each object, and compare it with the tables.
    2. If the list contained fewer objects than it counts, read it again, at most three times.
    3. Read all ids from the tables. Fetch those that the list did not contain by id, and compare them: they are
       archived, hidden or deleted, or their notification was lost.

    Then compare the data attributes, which have a short list per model. An object that is equal is recorded in the
    outcome; one that seems to differ becomes a candidate, to be rechecked.

    Attributes:
        listed: by type, the ids that Intercom listed. A plain set takes 107 MB for a million ids and is built in two
            seconds, while reading them takes minutes. (A sorted array of eight-byte digests was measured too: 12 MB in
            the end and 61 MB at its peak, but 72 seconds to build and 18 to search.)
        candidates: objects that seemed to differ, at most MAX_CANDIDATES.
    """

    def __init__(self, context: VerifyContext, outcome: VerifyOutcome) -> None:
        self.context = context
        self.outcome = outcome
        self.listed: dict[str, set[str]] = {}
        self.candidates: set[CandidateKey] = set()

    def run(self) -> None:
        """Compare everything. Raises what the client raises."""
        for object_type in _TYPES:
            self._compare_listed(object_type)
            self._compare_unlisted(object_type)
        self._compare_attributes()

    def _compare_listed(self, object_type: str) -> None:
        listed = self.listed[object_type] = set()
        total: int | None = None
        with ThreadPoolExecutor(max_workers=THREADS) as pool:
            for number in range(_MAX_PASSES):
                for page in list_pages(self.context.client, object_type, first=number == 0):
                    total = page.total if page.total is not None else total
                    self._compare_page(object_type, page, pool)
                if total is None or len(listed) >= total:
                    break
            else:
                self.outcome.add_reason(
                    "Intercom's list kept changing while it was read. Try again when the workspace is less busy."
                )
        here = count_objects(self.context.reader, self.outcome.workspace_id, object_type)
        self.outcome.totals[object_type] = (len(listed), here)

    def _compare_unlisted(self, object_type: str) -> None:
        workspace_id, listed, checked = self.outcome.workspace_id, self.listed[object_type], set[str]()
        batches: Iterator[list[str]] = iter_ids(self.context.reader, workspace_id, object_type)
        if object_type == "contact":
            batches = chain(batches, iter_merged_ids(self.context.reader, workspace_id))
        for batch in batches:
            ids = [each for each in batch if each not in listed and each not in checked]
            checked.update(ids)
            for object_id, check in check_objects(self.context, workspace_id, object_type, ids):
                if check.comparison is not None and check.comparison.kind == "equal":
                    self.outcome.record(object_type, object_id, check.comparison)
                else:
                    self._add_candidate((object_type, object_id))
                self.outcome.compared[object_type] += 1
            self._report_progress(object_type, None)

    def _compare_page(self, object_type: str, page: Page, pool: ThreadPoolExecutor) -> None:
        """Compare the objects of a page; an object that comes twice is counted once."""
        read = pool.map(lambda item: self._read_item(object_type, item, page), page.items)
        observations = [each for each in read if each]
        ids = [each.id for each in observations]
        mirror = read_objects(self.context.reader, self.outcome.workspace_id, object_type, ids)
        for observation in observations:
            if observation.id in self.listed[object_type]:
                continue
            self.listed[object_type].add(observation.id)
            comparison = compare(observation, mirror[observation.id])
            if comparison.kind == "equal":
                self.outcome.record(object_type, observation.id, comparison)
            else:
                self._add_candidate((object_type, observation.id))
            self.outcome.compared[object_type] += 1
        self._report_progress(object_type, page.total)

    def _read_item(self, object_type: str, item: dict[str, Any], page: Page) -> Observation | None:
        try:
            whole = complete_contact_lists(self.context.client, item) if object_type == "contact" else item
            result = FoundObject(whole, page.as_of_ms, archived=False if object_type == "contact" else None)
            return report_from_fetch(self.outcome.workspace_id, object_type, str(item["id"]), result, 0).observations[0]
        except NotFoundError:
            return None
        except (MalformedNotificationError, KeyError):
            self.outcome.add_reason(f"Intercom sent a {object_type} in a form that cannot be read.")
            return None

    def _compare_attributes(self) -> None:
        """Compare the data attributes; their changes are not notified, so waiting for a recheck would not help."""
        for model in _ATTRIBUTE_MODELS:
            items = {attribute_name(item): item for item in self.context.client.data_attributes(model)}
            rows = read_attributes(self.context.reader, self.outcome.workspace_id, model)
            for name in sorted(items.keys() | rows.keys()):
                comparison = compare_attribute(items.get(name), rows.get(name))
                self.outcome.record(_ATTRIBUTE, f"{model}.{name}", comparison)
                self.outcome.compared[_ATTRIBUTE] += 1

    def _add_candidate(self, key: CandidateKey) -> None:
        if len(self.candidates) < MAX_CANDIDATES:
            self.candidates.add(key)
        else:
            self.outcome.add_reason(
                f"More than {MAX_CANDIDATES} objects seem to differ, and not all of them were rechecked."
                " Run `intercom-mirror reconcile --full` first."
            )

    def _report_progress(self, object_type: str, total: int | None) -> None:
        self.context.progress(self.outcome.compared[object_type], total, f"comparing {_TYPES[object_type]}")
