"""
Data attributes: the standard ones, which have no id, and the custom ones, which must exist before they are written.

Source:
    Intercom's OpenAPI description 2.16, schema `data_attribute`.
"""

from dataclasses import dataclass, field
from typing import Any

from emulator.workspace_records import BLANK_COMPANY, BLANK_CONTACT

# Custom attributes of the pretend workspaces' everyday life.
_CUSTOM = {
    "contact": {"plan_tier": "string", "seats": "integer", "score": "float", "is_admin": "boolean",
                "renewal_at": "date"},
    "company": {"region": "string", "tickets": "integer"},
}  # fmt: skip
TYPES = ("string", "integer", "float", "boolean", "date")
MODELS = ("contact", "company")
_FIRST_ID = 12_001
_INTEGERS = frozenset({"size", "monthly_spend", "session_count"})
_UNLISTED = frozenset({"custom_attributes", "social_profiles", "location", "avatar", "plan"})
_LOCATION = ("country", "region", "city", "country_code", "continent_code")


@dataclass
class DataAttribute:
    """One custom attribute; an archived one keeps its values and takes no new ones."""

    id: int
    model: str
    name: str
    data_type: str
    description: str = ""
    options: list[str] | None = None
    archived: bool = False
    messenger_writable: bool = False


@dataclass
class DataAttributes:
    """The custom attributes of one workspace by model and name."""

    by_name: dict[tuple[str, str], DataAttribute] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for model, types in _CUSTOM.items():
            for name, data_type in types.items():
                self.add(model, name, data_type)

    def add(self, model: str, name: str, data_type: str) -> DataAttribute:
        """Create one; it must not exist."""
        attribute = DataAttribute(_FIRST_ID + len(self.by_name), model, name, data_type)
        self.by_name[model, name] = attribute
        return attribute

    def types(self, model: str) -> dict[str, str]:
        """Return the type of each by its name."""
        return {name: found.data_type for (of, name), found in self.by_name.items() if of == model}

    def with_id(self, id_: str) -> DataAttribute | None:
        """Return the custom attribute with this id, if there is one."""
        return next((found for found in self.by_name.values() if str(found.id) == id_), None)

    def shown(self, model: str, at: int, *, archived: bool) -> list[dict[str, Any]]:
        """Return all of a model as REST shows them; `at` is when they were made, in unix seconds."""
        custom = [custom_form(found, at) for found in self.by_name.values()
                  if found.model == model and (archived or not found.archived)]  # fmt: skip
        return [*(_standard_form(model, name) for name in _standard(model)), *custom]


def custom_form(attribute: DataAttribute, at: int) -> dict[str, Any]:
    """Return a custom attribute as REST shows it."""
    form = {
        "type": "data_attribute", "id": attribute.id, "model": attribute.model, "name": attribute.name,
        "full_name": f"custom_attributes.{attribute.name}", "label": attribute.name,
        "description": attribute.description, "data_type": attribute.data_type, "api_writable": True,
        "messenger_writable": attribute.messenger_writable, "ui_writable": True, "custom": True,
        "archived": attribute.archived, "created_at": at, "updated_at": at, "admin_id": "7450231",
    }  # fmt: skip
    return form | ({"options": attribute.options} if attribute.options else {})


def _standard(model: str) -> list[str]:
    blank = BLANK_CONTACT if model == "contact" else BLANK_COMPANY
    names = [name for name in blank if name not in _UNLISTED]
    if model == "contact":
        return [*names, *(f"location.{name}" for name in _LOCATION)]
    return [*names, "plan.name", "user_count"]


def _standard_form(model: str, name: str) -> dict[str, Any]:
    full = f"location_data.{name.partition('.')[2]}" if name.startswith("location.") else name
    return {
        "type": "data_attribute", "model": model, "name": name.rpartition(".")[2], "full_name": full,
        "label": name.replace("_", " ").capitalize(), "description": "", "data_type": _standard_type(model, name),
        "api_writable": name in ("name", "email", "phone", "size", "website", "industry"),
        "messenger_writable": False, "ui_writable": False, "custom": False, "archived": False,
    }  # fmt: skip


def _standard_type(model: str, name: str) -> str:
    if name.endswith("_at"):
        return "date"
    blank = (BLANK_CONTACT if model == "contact" else BLANK_COMPANY).get(name)
    if isinstance(blank, bool):
        return "boolean"
    return "integer" if name in _INTEGERS or name == "user_count" else "string"
