"""Subscription types as REST shows them; every pretend workspace has the same three."""

from typing import Any

from emulator.random_operations import SUBSCRIPTIONS


def subscription_type(id_: str) -> dict[str, Any]:
    """Return one; all are opt-out newsletters."""
    words = {"name": f"Newsletter {id_}", "description": "What is new", "locale": "en"}
    return {
        "type": "subscription",
        "id": id_,
        "state": "live",
        "consent_type": "opt_out",
        "default_translation": words,
        "translations": [words],
        "content_types": ["email"],
    }


def subscription_types() -> list[dict[str, Any]]:
    """Return all."""
    return [subscription_type(id_) for id_ in SUBSCRIPTIONS]
