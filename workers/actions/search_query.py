"""What Intercom's contact search takes, and what is wrong with a query."""

from typing import Any

from workers.actions.fields import FieldType, Mistakes, seconds_problem

_GROUPS = ("AND", "OR")
_OPERATORS = ("=", "!=", "IN", "NIN", ">", "<", ">=", "<=", "~", "!~", "^", "$")
# Intercom's own limits: groups inside each other, and conditions in one of them.
_DEEPEST = 2
_LONGEST_GROUP = 15

_TIMES = ("_at",)


def query_mistakes(query: Any, path: str = "query", depth: int = 1) -> Mistakes:
    """Return what is wrong with a query, by the path of the part."""
    if not isinstance(query, dict):
        return [(path, 'must be an object, such as {"field": "email", "operator": "=", "value": "ada@example.com"}.')]
    if query.get("operator") in _GROUPS and "field" not in query:
        return _group_mistakes(query, path, depth)
    return _condition_mistakes(query, path)


def _group_mistakes(query: dict[str, Any], path: str, depth: int) -> Mistakes:
    if depth > _DEEPEST:
        return [(path, f"is nested too deep: Intercom takes {_DEEPEST} groups inside each other.")]
    parts = query.get("value")
    if not isinstance(parts, list) or not parts:
        return [(f"{path}.value", "must be a list of conditions.")]
    if len(parts) > _LONGEST_GROUP:
        return [(f"{path}.value", f"has {len(parts)} conditions; Intercom takes {_LONGEST_GROUP} in one group.")]
    found: Mistakes = []
    for number, part in enumerate(parts):
        found += query_mistakes(part, f"{path}.value[{number}]", depth + 1)
    return found


def _condition_mistakes(query: dict[str, Any], path: str) -> Mistakes:
    found: Mistakes = []
    field, operator = query.get("field"), query.get("operator")
    if not isinstance(field, str) or not field:
        found.append((f"{path}.field", "must name a field of contacts, such as `email`."))
    if operator not in _OPERATORS:
        shown = " ".join(_OPERATORS)
        found.append((f"{path}.operator", f"must be one of {shown}, or AND or OR with a list of conditions."))
    if "value" not in query:
        found.append((f"{path}.value", "is missing."))
    elif isinstance(field, str) and field.endswith(_TIMES) and isinstance(query["value"], int):
        problem = seconds_problem(query["value"])
        found += [(f"{path}.value", problem)] if problem else []
    return found


def _problem(value: Any) -> str | None:
    return None if isinstance(value, dict) else "must be an object."


QUERY = FieldType({"type": "object"}, _problem)
