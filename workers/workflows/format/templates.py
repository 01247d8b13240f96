"""
Templates: Jinja expressions between {{ and }}, in a sandbox, with an error for unknown names.

A text that is a single expression keeps the type of its value: `"{{ record.custom_attributes.seats }}"` is a number if
Intercom has a number. Any other text with expressions is text. Statements ({% %}) are not supported; steps and
conditions replace them.

    TemplateError: a template is invalid or cannot be evaluated; its text contains names, never values.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, nodes
from jinja2 import TemplateError as JinjaError
from jinja2.exceptions import SecurityError, TemplateSyntaxError, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

# Characters of a rendered text: far more than Intercom accepts, and little memory.
_MAX_LENGTH = 200_000

# Names listed in an error: as many as fit on a few lines.
_MAX_LISTED_NAMES = 60

# Methods of a mapping that a template may call; any other name after a dot is a key.
_METHODS = frozenset({"get", "items", "keys", "values"})


class TemplateError(Exception):
    """A template is invalid or cannot be evaluated; the text contains names, never values."""


class _Unknown(StrictUndefined):
    """The value of a name that does not exist. Using it raises an error that lists the existing names."""

    @property
    def _undefined_message(self) -> str:
        name, owner = self._undefined_name, self._undefined_obj
        if owner is missing:
            return f"Unknown name {name}."
        if isinstance(owner, Mapping):
            return f"Unknown name {name}; known names: {_list_names(owner)}."
        return f"Unknown name {name}; the value is of type {type(owner).__name__}."


class PendingValue:
    """
    The result of a step that has not run, in a dry run.

    Every name in it exists and is pending too. Its text is the path to it, such as `<steps.create.contact.id>`.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def member(self, name: Any) -> "PendingValue":
        """Return the pending value under a name."""
        return PendingValue(f"{self._path}.{name}")

    def __str__(self) -> str:
        return f"<{self._path}>"


class _Sandbox(ImmutableSandboxedEnvironment):
    """A sandbox in which a name after a dot is first of all a key, so that `record.items` is a field of the record."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, PendingValue):
            return obj.member(attribute)
        if not isinstance(obj, Mapping):
            return super().getattr(obj, attribute)
        if attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute) if attribute in _METHODS else self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, PendingValue):
            return obj.member(argument)
        if isinstance(obj, Mapping):
            return obj[argument] if argument in obj else self.undefined(obj=obj, name=str(argument))
        return super().getitem(obj, argument)


_sandbox = _Sandbox(undefined=_Unknown, autoescape=False, keep_trailing_newline=True)


def render(value: Any, names: Mapping[str, Any]) -> Any:
    """
    Render the templates in a value, in lists and mappings at any depth; keys stay as they are.

    Args:
        value: with templates.
        names: that the templates may use, with their values.

    Raises:
        TemplateError: its text begins with the path of the template in the value.
    """
    return _render(value, names, "")


def _render(value: Any, names: Mapping[str, Any], path: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _render(each, names, f"{path}.{key}" if path else str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_render(each, names, f"{path}[{position}]") for position, each in enumerate(value)]
    if not isinstance(value, str) or "{" not in value:
        return value
    try:
        return _evaluate(value, names)
    except TemplateError as error:
        raise TemplateError(f"{path}: {error}" if path else str(error)) from None


def _evaluate(text: str, names: Mapping[str, Any]) -> Any:
    is_single, evaluate = _compiled(text)
    try:
        result = evaluate(**names)
    except UndefinedError as error:
        raise TemplateError(_with_known_names(str(error), names)) from None
    except SecurityError:
        raise TemplateError("The template accesses something that templates may not use.") from None
    except Exception as error:  # noqa: BLE001 -- an expression over any record may fail in any way
        # Python's own message may repeat a value.
        raise TemplateError(f"The template could not be evaluated ({type(error).__name__}).") from None
    if isinstance(result, StrictUndefined):
        raise TemplateError(_with_known_names(result._undefined_message, names))  # noqa: SLF001 -- Jinja's own name
    if isinstance(result, str) and len(result) > _MAX_LENGTH:
        raise TemplateError(f"The result has more than {_MAX_LENGTH} characters.")
    return _to_json(result) if is_single else result


def _to_json(result: Any) -> Any:
    if result is None or isinstance(result, bool | int | float | str):
        return result
    if isinstance(result, PendingValue):
        return str(result)
    if isinstance(result, Mapping):
        return {str(key): _to_json(value) for key, value in result.items()}
    if isinstance(result, list | tuple | set | Iterator) or type(result).__name__ in ("dict_keys", "dict_values"):
        return [_to_json(value) for value in result]
    raise TemplateError(f"The result is of type {type(result).__name__}, which JSON does not have.")


@lru_cache(maxsize=1024)
def _compiled(text: str) -> tuple[bool, Any]:
    _parse_expressions(text)
    if not is_single_expression(text):
        return False, _sandbox.from_string(text).render
    inner = text.strip()[2:-2].strip("-+")
    return True, _sandbox.compile_expression(inner, undefined_to_none=False)


def is_single_expression(text: str) -> bool:
    """Return whether a text is one expression and nothing else, so that its value keeps its type."""
    body = _parse(text.strip()).body
    output = body[0].nodes if len(body) == 1 and isinstance(body[0], nodes.Output) else []
    return len(output) == 1 and not isinstance(output[0], nodes.TemplateData) and text.strip().startswith("{{")


def _parse(text: str) -> nodes.Template:
    try:
        return _sandbox.parse(text)
    except TemplateSyntaxError as error:
        raise TemplateError(f"Invalid template: {error.message}.") from None
    except JinjaError as error:
        raise TemplateError(f"Invalid template ({type(error).__name__}).") from None


def _parse_expressions(text: str) -> nodes.Template:
    tree = _parse(text)
    if any(not isinstance(node, nodes.Output) for node in tree.body):
        raise TemplateError("Statements ({% … %}) are not supported. Use {{ … }}, or a separate step.")
    return tree


def referenced_names(text: str) -> list[tuple[str, str | None]]:
    """
    Return the names that a template uses, each with the constant name after its dot or in its brackets, if any.

    Raises:
        TemplateError: the template is invalid.
    """
    tree = _parse_expressions(text)
    try:
        _sandbox.from_string(text)
    except TemplateSyntaxError as error:
        raise TemplateError(f"Invalid template: {error.message}.") from None
    with_member: set[int] = set()
    references: list[tuple[str, str | None]] = []
    members: list[Any] = list(tree.find_all((nodes.Getattr, nodes.Getitem)))
    for node in members:
        if isinstance(node.node, nodes.Name) and (name := _constant_member(node)) is not None:
            with_member.add(id(node.node))
            references.append((node.node.name, name))
    references += [(node.name, None) for node in tree.find_all(nodes.Name) if id(node) not in with_member]
    return references


def _constant_member(node: Any) -> str | None:
    if isinstance(node, nodes.Getattr):
        return str(node.attr)
    return node.arg.value if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str) else None


def _with_known_names(message: str, names: Mapping[str, Any]) -> str:
    """Add the names at the top level to a message that lists no names yet."""
    if not message.endswith(".") or ";" in message:
        return message
    return f"{message[:-1]}; known names: {_list_names(names)}."


def _list_names(owner: Mapping[Any, Any]) -> str:
    names = sorted(str(name) for name in owner)
    more = "" if len(names) <= _MAX_LISTED_NAMES else f" and {len(names) - _MAX_LISTED_NAMES} more"
    return (", ".join(names[:_MAX_LISTED_NAMES]) + more) or "none"
