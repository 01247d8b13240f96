"""
YAML whose every value knows its line.

Only what JSON has, too: no anchors, no tags, no dates, and of YAML's many words for truth only true and false. `on` and
`no` are text, as whoever writes `country: NO` expects.
"""

import re
from typing import Any, NamedTuple

import yaml

from workers.workflows.format.workflow import InvalidWorkflowError, Mistake

_WHOLE = re.compile(r"[-+]?[0-9]+")
_DECIMAL = re.compile(r"[-+]?[0-9]+\.[0-9]+([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}

# Levels of lists and mappings in each other: beyond what anyone writes, and far below what Python's stack holds.
_DEEPEST = 50


class Marked(NamedTuple):
    """A value with its line: a scalar, a list of marked values, or a dict of such by text."""

    value: Any
    line: int


def read(text: str) -> Marked:
    """
    Read a document.

    Raises:
        MistakesError: it is no YAML, or uses more of it than we read.
    """
    try:
        aliases = [event for event in yaml.parse(text, yaml.SafeLoader) if isinstance(event, yaml.AliasEvent)]
        mistakes = [
            Mistake(_line(each), "Anchors and aliases (& and *) are not read. Write it out.") for each in aliases
        ]
        root = None if mistakes else yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise InvalidWorkflowError([Mistake(_trouble_line(error), f"This is no YAML: {error.problem}.")]) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise InvalidWorkflowError([Mistake(1, f"This is no YAML: {type(error).__name__}.")]) from None
    marked = Marked(None, 1) if root is None else _marked(root, mistakes, 0)
    if mistakes:
        raise InvalidWorkflowError(mistakes)
    return marked


def plain(marked: Marked) -> Any:
    """Return a value without the lines."""
    if isinstance(marked.value, dict):
        return {key: plain(value) for key, value in marked.value.items()}
    if isinstance(marked.value, list):
        return [plain(value) for value in marked.value]
    return marked.value


def _line(found: Any) -> int:
    return int(found.start_mark.line) + 1


def _trouble_line(error: yaml.MarkedYAMLError) -> int:
    return 1 if error.problem_mark is None else int(error.problem_mark.line) + 1


def _marked(node: yaml.Node, mistakes: list[Mistake], depth: int) -> Marked:
    if depth > _DEEPEST:
        mistakes.append(Mistake(_line(node), "This is nested too deeply."))
        return Marked(None, _line(node))
    if isinstance(node, yaml.MappingNode):
        return Marked(_mapping(node, mistakes, depth), _line(node))
    if isinstance(node, yaml.SequenceNode):
        return Marked([_marked(each, mistakes, depth + 1) for each in node.value], _line(node))
    return Marked(_scalar(node, mistakes), _line(node))


def _mapping(node: yaml.MappingNode, mistakes: list[Mistake], depth: int) -> dict[str, Marked]:
    found: dict[str, Marked] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            mistakes.append(Mistake(_line(key), "A name must be one word or text."))
        elif key.value in found:
            mistakes.append(Mistake(_line(key), f"{key.value} stands here twice."))
        else:
            # A value's line is that of its name, which is where a person looks.
            found[key.value] = _marked(value, mistakes, depth + 1)._replace(line=_line(key))
    return found


def _scalar(node: Any, mistakes: list[Mistake]) -> Any:
    text: str = node.value
    if node.style is not None:
        return text
    if not node.tag.startswith("tag:yaml.org,2002:"):
        mistakes.append(Mistake(_line(node), f"The tag {node.tag} is not read."))
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text
