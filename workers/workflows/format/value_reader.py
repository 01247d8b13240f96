"""Reads typed values from a parsed file. A mistake is recorded with its line, and reading continues."""

import re
from collections.abc import Collection, Iterable
from typing import Any

from workers.workflows.format.templates import TemplateError, referenced_names
from workers.workflows.format.workflow import Mistake
from workers.workflows.format.yaml_positions import MarkedValue
from workers.workflows.triggers.records import known_names

# Seconds in each unit of a duration.
_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_DURATION = re.compile(r"([0-9]+) *(second|minute|hour|day)s?")
# Seconds of a wait at most: a year. Longer ones are typing errors.
MAX_WAIT_SECONDS = 366 * 86_400


class ValueReader:
    """
    Reads the values of one file, collects its mistakes, and knows the names that its templates may use.

    `object_type`: of the trigger; None while it is unknown, so that names in `record` are not checked.
    """

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []
        self.object_type: str | None = None
        self.settings: tuple[str, ...] = ()
        self.steps: list[str] = []

    def add_mistake(self, marked: MarkedValue, text: str) -> None:
        """Record a mistake."""
        self.mistakes.append(Mistake(marked.line, text))

    def mapping(
        self, marked: MarkedValue, what: str, allowed: Collection[str], required: Collection[str] = ()
    ) -> dict[str, MarkedValue]:
        """
        Return the allowed members of a mapping.

        Args:
            marked: the value.
            what: how a mistake names it.
            allowed: keys.
            required: those of them that must be present.
        """
        if not isinstance(marked.value, dict):
            self.add_mistake(marked, f"{what} must be a mapping, such as `{next(iter(required or allowed))}: …`.")
            return {}
        for name, value in marked.value.items():
            if name not in allowed:
                self.add_mistake(value, f"{what} has no `{name}`. Allowed: {listed(allowed)}.")
        for name in required:
            if name not in marked.value:
                self.add_mistake(marked, f"{what} needs `{name}`.")
        return {name: value for name, value in marked.value.items() if name in allowed}

    def text(self, marked: MarkedValue, what: str) -> str:
        """Return a text that is not blank; "" after a mistake."""
        if isinstance(marked.value, str) and marked.value.strip():
            return marked.value
        self.add_mistake(marked, f"{what} must be text.")
        return ""

    def boolean(self, marked: MarkedValue, what: str) -> bool:
        """Return true or false; False after a mistake."""
        if not isinstance(marked.value, bool):
            self.add_mistake(marked, f"{what} must be true or false.")
        return marked.value is True

    def texts(self, marked: MarkedValue, what: str) -> tuple[str, ...]:
        """Return a list of texts; a single text is a list of one."""
        if isinstance(marked.value, str):
            return (self.text(marked, what),)
        if not isinstance(marked.value, list) or not marked.value:
            self.add_mistake(marked, f"{what} must be a list of names.")
            return ()
        return tuple(self.text(each, f"Each item of {what}") for each in marked.value)

    def seconds(self, marked: MarkedValue, what: str) -> int:
        """Return a duration, which is written in seconds or as `5 minutes`; 0 after a mistake."""
        seconds = -1
        if isinstance(marked.value, int) and not isinstance(marked.value, bool):
            seconds = marked.value
        elif isinstance(marked.value, str) and (match := _DURATION.fullmatch(marked.value.strip())):
            seconds = int(match[1]) * _UNITS[match[2]]
        if not 0 <= seconds <= MAX_WAIT_SECONDS:
            self.add_mistake(
                marked, f"{what} must be a duration such as `30 seconds`, `5 minutes`, `2 hours` or `3 days`."
            )
            return 0
        return seconds

    def check_templates(self, marked: MarkedValue) -> None:
        """Check every template in a value, at any depth."""
        if isinstance(marked.value, dict):
            for each in marked.value.values():
                self.check_templates(each)
        elif isinstance(marked.value, list):
            for each in marked.value:
                self.check_templates(each)
        elif isinstance(marked.value, str) and "{" in marked.value:
            self._check_template(marked)

    def _check_template(self, marked: MarkedValue) -> None:
        try:
            references = referenced_names(marked.value)
        except TemplateError as error:
            self.add_mistake(marked, str(error))
            return
        known = {
            "record": None if self.object_type is None else known_names(self.object_type) | {"get"},
            "change": {"seq", "op", "object_type", "object_id", "changed_fields", "source", "at"},
            "settings": set(self.settings),
            "steps": set(self.steps),
            "run": {"id", "workflow", "started_at"},
            "workspace": {"id"},
        }
        for name, member in dict.fromkeys(references):
            if name not in known:
                self.add_mistake(marked, f"Unknown name {name}; known names: {', '.join(sorted(known))}.")
            elif member is not None and (members := known[name]) is not None and member not in members:
                names = ", ".join(sorted(members)) or "none"
                self.add_mistake(marked, f"Unknown name {name}.{member}; known names: {names}.")


def listed(names: Iterable[Any]) -> str:
    """Return names as a sentence lists them."""
    return ", ".join(f"`{name}`" for name in names)
