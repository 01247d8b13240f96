"""Helpers for checking a file: every mistake is noted with its line, and checking goes on."""

import re
from collections.abc import Collection, Iterable
from typing import Any

from workers.workflows.format.templates import TemplateError, references
from workers.workflows.format.workflow import Mistake
from workers.workflows.format.yaml_positions import Marked
from workers.workflows.triggers.records import known_names

# Seconds in each unit that a wait may be written in.
_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_DURATION = re.compile(r"([0-9]+) *(second|minute|hour|day)s?")
# Seconds: a year. Longer than runs of any sense, and a limit for mistyped ones.
LONGEST_WAIT = 366 * 86_400


class ValueReader:
    """
    The mistakes of one file, and what its templates may name.

    `object_type`: of the trigger; None while it is not known, so that no field is held against it.
    """

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self.object_type: str | None = None
        self.settings: tuple[str, ...] = ()
        self.steps: list[str] = []

    def note(self, marked: Marked, text: str) -> None:
        """Note a mistake."""
        self.mistakes.append(Mistake(marked.line, text))

    def mapping(
        self, marked: Marked, what: str, allowed: Collection[str], needed: Collection[str] = ()
    ) -> dict[str, Marked]:
        """Return a mapping's members; notes where it is none, lacks something, or has something that is not read."""
        if not isinstance(marked.value, dict):
            self.note(marked, f"{what} must be a mapping, such as `{next(iter(needed or allowed))}: …`.")
            return {}
        for name, value in marked.value.items():
            if name not in allowed:
                self.note(value, f"{what} has no `{name}`. It may have {listed(allowed)}.")
        for name in needed:
            if name not in marked.value:
                self.note(marked, f"{what} needs `{name}`.")
        return {name: value for name, value in marked.value.items() if name in allowed}

    def text(self, marked: Marked, what: str) -> str:
        """Return a text that is not empty, or note that it is none."""
        if isinstance(marked.value, str) and marked.value.strip():
            return marked.value
        self.note(marked, f"{what} must be text.")
        return ""

    def truth(self, marked: Marked, what: str) -> bool:
        """Return true or false, or note that it is neither."""
        if not isinstance(marked.value, bool):
            self.note(marked, f"{what} must be true or false.")
        return marked.value is True

    def texts(self, marked: Marked, what: str) -> tuple[str, ...]:
        """Return a list of texts; one text alone will do."""
        if isinstance(marked.value, str):
            return (self.text(marked, what),)
        if not isinstance(marked.value, list) or not marked.value:
            self.note(marked, f"{what} must be a list of names.")
            return ()
        return tuple(self.text(each, f"Each of {what}") for each in marked.value)

    def templates(self, marked: Marked) -> None:
        """Look at every template in a value."""
        if isinstance(marked.value, dict):
            for each in marked.value.values():
                self.templates(each)
        elif isinstance(marked.value, list):
            for each in marked.value:
                self.templates(each)
        elif isinstance(marked.value, str) and "{" in marked.value:
            self._template(marked)

    def _template(self, marked: Marked) -> None:
        try:
            used = references(marked.value)
        except TemplateError as error:
            self.note(marked, str(error))
            return
        known = {
            "record": None if self.object_type is None else known_names(self.object_type) | {"get"},
            "change": {"seq", "op", "object_type", "object_id", "changed_fields", "source", "at"},
            "settings": set(self.settings),
            "steps": set(self.steps),
            "run": {"id", "workflow", "started_at"},
            "workspace": {"id"},
        }
        for name, member in dict.fromkeys(used):
            if name not in known:
                self.note(marked, f"There is no {name}; there is {', '.join(sorted(known))}.")
            elif member is not None and (there := known[name]) is not None and member not in there:
                self.note(
                    marked, f"There is no {name}.{member} here; there is {', '.join(sorted(there)) or 'nothing'}."
                )

    def seconds(self, marked: Marked, what: str) -> int:
        """Return a duration in seconds, written as such or as `5 minutes`."""
        found = -1
        if isinstance(marked.value, int) and not isinstance(marked.value, bool):
            found = marked.value
        elif isinstance(marked.value, str) and (match := _DURATION.fullmatch(marked.value.strip())):
            found = int(match[1]) * _UNITS[match[2]]
        if not 0 <= found <= LONGEST_WAIT:
            self.note(marked, f"{what} must be a time such as `30 seconds`, `5 minutes`, `2 hours` or `3 days`.")
            return 0
        return found


def listed(names: Iterable[Any]) -> str:
    """Write names as a sentence lists them."""
    return ", ".join(f"`{name}`" for name in names)
