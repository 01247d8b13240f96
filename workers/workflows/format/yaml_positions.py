"""
A YAML parser that keeps the line of every value.

It accepts the part of YAML that JSON has too: no anchors, no tags, no dates, and of YAML's many booleans only true and
false. `on` and `no` are text, as the author of `country: NO` expects.
"""

import re
from typing import Any, NamedTuple

import yaml

from workers.workflows.format.workflow import InvalidWorkflowError, Mistake

_INTEGER = re.compile(r"[-+]?[0-9]+")
_DECIMAL = re.compile(r"[-+]?[0-9]+\.[0-9]+([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}

# Levels of nested lists and mappings: more than any real file has, and far below the limit of Python's stack.
_MAX_DEPTH = 50


class MarkedValue(NamedTuple):
    """A value with its line: a scalar, a list of marked values, or a dict of marked values by text."""

    value: Any
    line: int


def parse_yaml(text: str) -> MarkedValue:
    """
    Parse a document.

    Raises:
        InvalidWorkflowError: it is not valid YAML, or uses a part of YAML that is not supported.
    """
    try:
        aliases = [event for event in yaml.parse(text, yaml.SafeLoader) if isinstance(event, yaml.AliasEvent)]
        mistakes = [Mistake(_line(each), "Anchors and aliases are not supported.") for each in aliases]
        root = None if mistakes else yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise InvalidWorkflowError([Mistake(_error_line(error), f"Not valid YAML: {error.problem}.")]) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise InvalidWorkflowError([Mistake(1, f"Not valid YAML: {type(error).__name__}.")]) from None
    marked = MarkedValue(None, 1) if root is None else _marked(root, mistakes, 0)
    if mistakes:
        raise InvalidWorkflowError(mistakes)
    return marked


def without_positions(marked: MarkedValue) -> Any:
    """Return a value without the lines."""
    if isinstance(marked.value, dict):
        return {key: without_positions(value) for key, value in marked.value.items()}
    if isinstance(marked.value, list):
        return [without_positions(value) for value in marked.value]
    return marked.value


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _error_line(error: yaml.MarkedYAMLError) -> int:
    return 1 if error.problem_mark is None else int(error.problem_mark.line) + 1


def _marked(node: yaml.Node, mistakes: list[Mistake], depth: int) -> MarkedValue:
    if depth > _MAX_DEPTH:
        mistakes.append(Mistake(_line(node), "The value is nested too deeply."))
        return MarkedValue(None, _line(node))
    if isinstance(node, yaml.MappingNode):
        return MarkedValue(_mapping(node, mistakes, depth), _line(node))
    if isinstance(node, yaml.SequenceNode):
        return MarkedValue([_marked(each, mistakes, depth + 1) for each in node.value], _line(node))
    return MarkedValue(_scalar(node, mistakes), _line(node))


def _mapping(node: yaml.MappingNode, mistakes: list[Mistake], depth: int) -> dict[str, MarkedValue]:
    members: dict[str, MarkedValue] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            mistakes.append(Mistake(_line(key), "A key must be text."))
        elif key.value in members:
            mistakes.append(Mistake(_line(key), f"Duplicate key {key.value}."))
        else:
            # The line of a value is that of its key, where a reader looks for it.
            members[key.value] = _marked(value, mistakes, depth + 1)._replace(line=_line(key))
    return members


def _scalar(node: Any, mistakes: list[Mistake]) -> Any:
    text: str = node.value
    if node.style is not None:
        return text
    if not node.tag.startswith("tag:yaml.org,2002:"):
        mistakes.append(Mistake(_line(node), f"The tag {node.tag} is not supported."))
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text
