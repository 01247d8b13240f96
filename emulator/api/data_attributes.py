"""
Data attributes: standard ones, which have no id, and custom ones, which must exist before values are set.

Source:
    Intercom's OpenAPI description 2.16, schema `data_attribute`.
"""

from dataclasses import dataclass, field
from typing import Any

from emulator.workspace_records import BLANK_COMPANY, BLANK_CONTACT

# The custom attributes that exist in every emulated workspace: those in `emulator.fake_data`.
_CUSTOM = {
    "contact": {"plan_tier": "string", "seats": "integer", "score": "float", "is_admin": "boolean",
                "renewal_at": "date"},
    "company": {"region": "string", "tickets": "integer"},
}  # fmt: skip
TYPES = ("string", "integer", "float", "boolean", "date")
MODELS = ("contact", "company")
_FIRST_ID = 12_001
_INTEGERS = frozenset({"size", "monthly_spend", "session_count", "user_count"})
_UNLISTED = frozenset({"custom_attributes", "social_profiles", "location", "avatar", "plan"})
_LOCATION = ("country", "region", "city", "country_code", "continent_code")


@dataclass
class DataAttribute:
    """A custom attribute. An archived one keeps its values and accepts no new ones."""

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
        """Create an attribute that does not exist."""
        attribute = DataAttribute(_FIRST_ID + len(self.by_name), model, name, data_type)
        self.by_name[model, name] = attribute
        return attribute

    def types(self, model: str) -> dict[str, str]:
        """Return the data types of a model's custom attributes by name."""
        return {name: each.data_type for (owner, name), each in self.by_name.items() if owner == model}

    def with_id(self, id_: str) -> DataAttribute | None:
        """Return the custom attribute with this id, or None."""
        return next((each for each in self.by_name.values() if str(each.id) == id_), None)

    def list_json(self, model: str, created_at: int, *, archived: bool) -> list[dict[str, Any]]:
        """
        Return all attributes of a model in REST form.

        Args:
            model: "contact" or "company".
            created_at: the time of creation to show, in unix seconds.
            archived: whether to include archived attributes.
        """
        custom = [attribute_json(each, created_at) for each in self.by_name.values()
                  if each.model == model and (archived or not each.archived)]  # fmt: skip
        return [*(_standard_json(model, name) for name in _standard_names(model)), *custom]


def attribute_json(attribute: DataAttribute, at: int) -> dict[str, Any]:
    """Return a custom attribute in REST form; `at` is its time of creation and update in unix seconds."""
    item = {
        "type": "data_attribute", "id": attribute.id, "model": attribute.model, "name": attribute.name,
        "full_name": f"custom_attributes.{attribute.name}", "label": attribute.name,
        "description": attribute.description, "data_type": attribute.data_type, "api_writable": True,
        "messenger_writable": attribute.messenger_writable, "ui_writable": True, "custom": True,
        "archived": attribute.archived, "created_at": at, "updated_at": at, "admin_id": "7450231",
    }  # fmt: skip
    return item | ({"options": attribute.options} if attribute.options else {})


def _standard_names(model: str) -> list[str]:
    blank = BLANK_CONTACT if model == "contact" else BLANK_COMPANY
    names = [name for name in blank if name not in _UNLISTED]
    if model == "contact":
        return [*names, *(f"location.{name}" for name in _LOCATION)]
    return [*names, "plan.name", "user_count"]


def _standard_json(model: str, name: str) -> dict[str, Any]:
    full_name = f"location_data.{name.partition('.')[2]}" if name.startswith("location.") else name
    return {
        "type": "data_attribute", "model": model, "name": name.rpartition(".")[2], "full_name": full_name,
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
    return "integer" if name in _INTEGERS else "string"
