"""
What stands between {{ and }}: Jinja's expressions in a sandbox, strict about names.

A lone expression keeps its type: `"{{ record.custom_attributes.seats }}"` is a number where Intercom has a number. Text
with expressions in it is text. Statements ({% %}) are not read: steps and conditions say what they would.

    TemplateError: it cannot be read, or not be filled in; its text holds names, never values.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, nodes
from jinja2 import TemplateError as JinjaError
from jinja2.exceptions import SecurityError, TemplateSyntaxError, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

# Characters of a text that was filled in: far more than Intercom takes, and little for a process.
_LONGEST = 200_000

# Names that are listed in an error: as many as fit on a few lines.
_MOST_NAMES = 60

# What may be called on a mapping; any other name after a dot is one of its keys.
_METHODS = frozenset({"get", "items", "keys", "values"})


class TemplateError(Exception):
    """See above."""


class _Unknown(StrictUndefined):
    """A name that does not exist; its use says which names do."""

    @property
    def _undefined_message(self) -> str:
        name, owner = self._undefined_name, self._undefined_obj
        if owner is missing:
            return f"There is no {name}."
        there = f"there is {_names(owner)}" if isinstance(owner, Mapping) else f"it is of type {type(owner).__name__}"
        return f"There is no {name} here; {there}."


class Later:
    """What a step will be answered, in a dry run: every name in it exists, and it is written as where it comes from."""

    def __init__(self, path: str) -> None:
        self._path = path

    def at(self, name: Any) -> "Later":
        """Return what will be under a name."""
        return Later(f"{self._path}.{name}")

    def __str__(self) -> str:
        return f"<{self._path}>"


class _Sandbox(ImmutableSandboxedEnvironment):
    """A name after a dot is a key where there are keys, so that `record.items` is what the record says."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Later):
            return obj.at(attribute)
        if not isinstance(obj, Mapping):
            return super().getattr(obj, attribute)
        if attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute) if attribute in _METHODS else self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Later):
            return obj.at(argument)
        if isinstance(obj, Mapping):
            return obj[argument] if argument in obj else self.undefined(obj=obj, name=str(argument))
        return super().getitem(obj, argument)


_sandbox = _Sandbox(undefined=_Unknown, autoescape=False, keep_trailing_newline=True)


def render(value: Any, names: Mapping[str, Any]) -> Any:
    """
    Fill in the templates in a value, in lists and mappings at any depth; keys stay as they are.

    Raises:
        TemplateError: see above; its text begins with where it is.
    """
    return _fill(value, names, "")


def _fill(value: Any, names: Mapping[str, Any], where: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _fill(each, names, f"{where}.{key}" if where else str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_fill(each, names, f"{where}[{position}]") for position, each in enumerate(value)]
    if not isinstance(value, str) or "{" not in value:
        return value
    try:
        return _evaluate(value, names)
    except TemplateError as error:
        raise TemplateError(f"{where}: {error}" if where else str(error)) from None


def _evaluate(text: str, names: Mapping[str, Any]) -> Any:
    lone, run = _compiled(text)
    try:
        found = run(**names)
    except UndefinedError as error:
        raise TemplateError(_with_roots(str(error), names)) from None
    except SecurityError:
        raise TemplateError("This reaches for what templates may not touch.") from None
    except Exception as error:  # noqa: BLE001 -- an expression over any record may fail in any way
        # What Python says of it may repeat a value.
        raise TemplateError(f"This cannot be worked out ({type(error).__name__}).") from None
    if isinstance(found, StrictUndefined):
        raise TemplateError(_with_roots(found._undefined_message, names))  # noqa: SLF001 -- how Jinja names it
    if isinstance(found, str) and len(found) > _LONGEST:
        raise TemplateError(f"What comes out has more than {_LONGEST} characters.")
    return found if not lone else _json(found)


def _json(found: Any) -> Any:
    if found is None or isinstance(found, bool | int | float | str):
        return found
    if isinstance(found, Later):
        return str(found)
    if isinstance(found, Mapping):
        return {str(key): _json(value) for key, value in found.items()}
    if isinstance(found, list | tuple | set | Iterator) or type(found).__name__ in ("dict_keys", "dict_values"):
        return [_json(value) for value in found]
    raise TemplateError(f"What comes out is a {type(found).__name__}. Write something that JSON has.")


@lru_cache(maxsize=1024)
def _compiled(text: str) -> tuple[bool, Any]:
    _expressions(text)
    if not is_lone(text):
        return False, _sandbox.from_string(text).render
    inner = text.strip()[2:-2].strip("-+")
    return True, _sandbox.compile_expression(inner, undefined_to_none=False)


def is_lone(text: str) -> bool:
    """Tell whether a text is one expression and nothing else, so that its value keeps its type."""
    body = _parsed(text.strip()).body
    output = body[0].nodes if len(body) == 1 and isinstance(body[0], nodes.Output) else []
    return len(output) == 1 and not isinstance(output[0], nodes.TemplateData) and text.strip().startswith("{{")


def _parsed(text: str) -> nodes.Template:
    try:
        return _sandbox.parse(text)
    except TemplateSyntaxError as error:
        raise TemplateError(f"This cannot be read: {error.message}.") from None
    except JinjaError as error:
        raise TemplateError(f"This cannot be read ({type(error).__name__}).") from None


def _expressions(text: str) -> nodes.Template:
    tree = _parsed(text)
    if any(not isinstance(node, nodes.Output) for node in tree.body):
        raise TemplateError("Statements ({% … %}) are not read. Write {{ … }}, or a step of its own.")
    return tree


def references(text: str) -> list[tuple[str, str | None]]:
    """
    Return the names that a template uses, each with the name after the dot (or in brackets) if it is written there.

    Raises:
        TemplateError: it cannot be read.
    """
    tree = _expressions(text)
    try:
        _sandbox.from_string(text)
    except TemplateSyntaxError as error:
        raise TemplateError(f"This cannot be read: {error.message}.") from None
    owned: set[int] = set()
    found: list[tuple[str, str | None]] = []
    members: list[Any] = list(tree.find_all((nodes.Getattr, nodes.Getitem)))
    for node in members:
        if isinstance(node.node, nodes.Name) and (name := _member(node)) is not None:
            owned.add(id(node.node))
            found.append((node.node.name, name))
    found += [(node.name, None) for node in tree.find_all(nodes.Name) if id(node) not in owned]
    return found


def _member(node: Any) -> str | None:
    if isinstance(node, nodes.Getattr):
        return str(node.attr)
    return node.arg.value if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str) else None


def _with_roots(message: str, names: Mapping[str, Any]) -> str:
    return f"{message[:-1]}; there is {_names(names)}." if message.endswith(".") and ";" not in message else message


def _names(owner: Mapping[Any, Any]) -> str:
    found = sorted(str(name) for name in owner)
    more = "" if len(found) <= _MOST_NAMES else f" and {len(found) - _MOST_NAMES} more"
    return (", ".join(found[:_MOST_NAMES]) + more) or "nothing"
