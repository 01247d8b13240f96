"""
The query of Intercom's contact search, and its checks.

A query is a condition, `{"field": …, "operator": …, "value": …}`, or a group of queries under AND or OR.

Source:
    Intercom's API reference, "Search contacts".
"""

from typing import Any

from workers.actions.fields import FieldType, Mistakes, timestamp_problem

_GROUP_OPERATORS = ("AND", "OR")
_OPERATORS = ("=", "!=", "IN", "NIN", ">", "<", ">=", "<=", "~", "!~", "^", "$")
# Intercom's limits: levels of nested groups, and queries in one group.
_MAX_DEPTH = 2
_MAX_GROUP_SIZE = 15

# The ending of names of fields that hold times.
_TIME_SUFFIX = "_at"


def query_mistakes(query: Any, path: str = "query", depth: int = 1) -> Mistakes:
    """
    Return the mistakes in a query, each with the path of its part.

    Args:
        query: the query, or a part of it.
        path: of this part.
        depth: of this part; the whole query has 1.
    """
    if not isinstance(query, dict):
        return [(path, 'must be an object, such as {"field": "email", "operator": "=", "value": "ada@example.com"}.')]
    if query.get("operator") in _GROUP_OPERATORS and "field" not in query:
        return _group_mistakes(query, path, depth)
    return _condition_mistakes(query, path)


def _group_mistakes(query: dict[str, Any], path: str, depth: int) -> Mistakes:
    if depth > _MAX_DEPTH:
        return [(path, f"is nested too deeply: Intercom accepts {_MAX_DEPTH} levels of groups.")]
    parts = query.get("value")
    if not isinstance(parts, list) or not parts:
        return [(f"{path}.value", "must be a list of conditions.")]
    if len(parts) > _MAX_GROUP_SIZE:
        return [(f"{path}.value", f"has {len(parts)} conditions; Intercom accepts {_MAX_GROUP_SIZE} in one group.")]
    mistakes: Mistakes = []
    for number, part in enumerate(parts):
        mistakes += query_mistakes(part, f"{path}.value[{number}]", depth + 1)
    return mistakes


def _condition_mistakes(query: dict[str, Any], path: str) -> Mistakes:
    mistakes: Mistakes = []
    field, operator = query.get("field"), query.get("operator")
    if not isinstance(field, str) or not field:
        mistakes.append((f"{path}.field", "must be the name of a contact field, such as `email`."))
    if operator not in _OPERATORS:
        listed = " ".join(_OPERATORS)
        mistakes.append((f"{path}.operator", f"must be one of {listed}, or AND or OR with a list of conditions."))
    if "value" not in query:
        mistakes.append((f"{path}.value", "is missing."))
    elif isinstance(field, str) and field.endswith(_TIME_SUFFIX) and isinstance(query["value"], int):
        problem = timestamp_problem(query["value"])
        mistakes += [(f"{path}.value", problem)] if problem else []
    return mistakes


def _problem(value: Any) -> str | None:
    return None if isinstance(value, dict) else "must be an object."


QUERY = FieldType({"type": "object"}, _problem)
