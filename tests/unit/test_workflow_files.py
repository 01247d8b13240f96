"""Workflow files: parsed with their lines, and all mistakes reported at once."""

from pathlib import Path

import pytest

from workers.workflows.files import read_folder
from workers.workflows.format.parser import parse_workflow
from workers.workflows.format.workflow import LIVE_SOURCES, InvalidWorkflowError, Workflow

GOOD = """\
name: greet
trigger:
  on: contact.created
steps:
  - id: greet
    action: send-message
    with:
      contact_id: "{{ record.id }}"
      body: Hello
"""


def mistakes(text: str, settings: tuple[str, ...] = ()) -> dict[int, str]:
    with pytest.raises(InvalidWorkflowError) as caught:
        parse_workflow(text, settings)
    texts: dict[int, str] = {}
    for each in caught.value.mistakes:
        texts[each.line] = f"{texts.get(each.line, '')} {each.text}"
    return texts


def with_step(step: str) -> str:
    return f"{GOOD}  - id: more\n    {step}\n"


def test_a_valid_file_is_parsed_with_defaults() -> None:
    """By default only live sources start a run."""
    workflow = parse_workflow(GOOD)
    assert (workflow.name, workflow.trigger.event, workflow.steps[0].action) == (
        "greet",
        "contact.created",
        "send-message",
    )
    assert workflow.trigger.sources == LIVE_SOURCES == ("webhook", "write_through")
    assert not workflow.trigger.own_changes


def test_every_mistake_is_reported_with_its_line() -> None:
    """All mistakes of a file are reported at once."""
    found = mistakes("""\
name: Greet Them
trigger:
  on: contact.made
  sorces: [webhook]
settings: [app_url]
steps:
  - id: greet
    action: send-mesage
    with: {}
  - id: greet
    condition: "{{ recrd.name }}"
  - wait: 5 parsecs
    id: wait
""")
    assert set(found) == {1, 3, 4, 5, 8, 10, 11, 12}
    assert "contact.updated" in found[3]
    assert "`sources`" in found[4]
    assert "WORKFLOW_SETTINGS" in found[5]
    assert "send-message" in found[8]
    assert "record" in found[11]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name: [", 1),
        ("name: a\nname: b\ntrigger: {on: contact.created}\nsteps: [{id: a, wait: 1}]", 2),
        ("name: &a x\ntrigger: *a\nsteps: []", 2),
        ("name: !!python/object:os.system x\n", 1),
        ("", 1),
        ("- a\n", 1),
        ("name: \x00", 1),
        ("a: " + "[" * 200 + "]" * 200, 1),
    ],
)
def test_yaml_that_is_not_supported_is_refused_with_a_line(text: str, line: int) -> None:
    """Including documents that would exhaust the memory or create Python objects."""
    assert line in mistakes(text)


def test_words_stay_text() -> None:
    """A country code is not a boolean, a date is not an object, and `on` is a key."""
    workflow = parse_workflow(
        GOOD.replace("steps:", "  where:\n    name: NO\n    phone: 2026-01-02\n    os: 010.5.1\nsteps:")
    )
    assert workflow.trigger.where == {"name": "NO", "phone": "2026-01-02", "os": "010.5.1"}


@pytest.mark.parametrize(
    ("step", "word"),
    [
        ("condition: yes please", "expression"),
        ('condition: "{{ record.role }} x"', "expression"),
        ('condition: "{{ record.emial }}"', "email"),
        ('condition: "{{ steps.later.x }}"', "greet"),
        ('condition: "{{ settings.key }}"', "none"),
        ('condition: "{{ record.role"', "Invalid template"),
        ('condition: "{% if record %}{% endif %}"', "Statements"),
        ('condition: "{{ record.role | shout }}"', "Invalid template"),
        ("wait: soon", "5 minutes"),
        ("wait: 900 days", "5 minutes"),
        ("request: {path: contacts}", "beginning with one /"),
        ("request: {path: //evil.example/x}", "beginning with one /"),
        ("request: {path: /contacts, method: BREW}", "PATCH"),
        ("http: {url: ftp://a/b}", "https://"),
        ("http: {body: {}}", "needs `url`"),
        ("action: send-message", "needs `with`"),
        ("action: send-message\n    with: {contact_id: a}", "needs `body`"),
        ("action: send-message\n    with: {contact_id: a, body: b, colour: c}", "no `colour`"),
        ("jump: there", "needs one of"),
    ],
)
def test_an_invalid_step_is_refused(step: str, word: str) -> None:
    """Before any run, with a sentence that explains what to write."""
    assert any(word in text for text in mistakes(with_step(step)).values())


def test_reads_may_be_repeated_and_writes_only_if_the_file_says_so() -> None:
    """A POST is not repeated by default."""

    def repeatable(step: str) -> bool:
        return parse_workflow(with_step(step)).steps[1].repeatable

    assert repeatable("request: {path: /contacts}")
    assert repeatable("request: {path: /contacts/1, method: put}")
    assert not repeatable("request: {path: /contacts, method: POST}")
    assert not repeatable("http: {url: https://a.example}")
    assert repeatable("http: {url: https://a.example}\n    repeatable: true")


def test_a_folder_keeps_the_valid_files(tmp_path: Path) -> None:
    """A file with mistakes, or with the name of another workflow, does not affect the others."""
    directory = tmp_path
    (directory / "a.yaml").write_text(GOOD)
    (directory / "b.yml").write_text(GOOD)
    (directory / "c.yaml").write_text("name: x")
    (directory / "d.yaml").write_bytes(b"\xff\xfe")
    (directory / "notes.txt").write_text("nothing")
    folder = read_folder(directory, ())
    assert [each.path.name for each in folder.files] == ["a.yaml"]
    assert sorted(path.name for path in folder.mistakes) == ["b.yml", "c.yaml", "d.yaml"]


def test_the_examples_of_the_documentation_are_valid() -> None:
    """A copy of an example is a working file."""
    folder = read_folder(Path(__file__).parents[2] / "docs" / "workflows", ("app_url", "app_key", "sales_admin_id"))
    assert folder.mistakes == {}
    assert len(folder.files) == 3
    assert all(isinstance(each.workflow, Workflow) for each in folder.files)
