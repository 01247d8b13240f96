"""Subscription types: every emulated workspace has the same three opt-out newsletters."""

from typing import Any

SUBSCRIPTION_TYPE_IDS = ("137", "138", "139")


def subscription_type(id_: str, name: str | None = None) -> dict[str, Any]:
    """Return a subscription type in REST form; its name contains the id unless another name is given."""
    translation = {"name": name or f"Newsletter {id_}", "description": "What is new", "locale": "en"}
    return {
        "type": "subscription",
        "id": id_,
        "state": "live",
        "consent_type": "opt_out",
        "default_translation": translation,
        "translations": [translation],
        "content_types": ["email"],
    }
