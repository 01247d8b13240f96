"""Workflow files: read with their lines, and every mistake told at once."""

from pathlib import Path

import pytest

from workers.workflows.files import read_folder
from workers.workflows.format.parser import read
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
        read(text, settings)
    told: dict[int, str] = {}
    for each in caught.value.mistakes:
        told[each.line] = f"{told.get(each.line, '')} {each.text}"
    return told


def with_step(step: str) -> str:
    return f"{GOOD}  - id: more\n    {step}\n"


def test_a_file_in_order_is_read_whole() -> None:
    """What is not written has its default; only what happens now starts a run."""
    workflow = read(GOOD)
    assert (workflow.name, workflow.trigger.event, workflow.steps[0].action) == (
        "greet",
        "contact.created",
        "send-message",
    )
    assert workflow.trigger.sources == LIVE_SOURCES == ("webhook", "write_through")
    assert not workflow.trigger.own_changes


def test_every_mistake_is_told_with_its_line() -> None:
    """One look at the output is enough to mend the file."""
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
def test_what_is_no_such_yaml_is_refused_with_a_line(text: str, line: int) -> None:
    """Also what could fill the memory, or make objects."""
    assert line in mistakes(text)


def test_words_are_read_as_they_are_written() -> None:
    """A country is not a truth, a date is not an object, and `on` is a name."""
    workflow = read(GOOD.replace("steps:", "  where:\n    name: NO\n    phone: 2026-01-02\n    os: 010.5.1\nsteps:"))
    assert workflow.trigger.where == {"name": "NO", "phone": "2026-01-02", "os": "010.5.1"}


@pytest.mark.parametrize(
    ("step", "word"),
    [
        ("condition: yes please", "expression"),
        ('condition: "{{ record.role }} x"', "expression"),
        ('condition: "{{ record.emial }}"', "email"),
        ('condition: "{{ steps.later.x }}"', "greet"),
        ('condition: "{{ settings.key }}"', "nothing"),
        ('condition: "{{ record.role"', "cannot be read"),
        ('condition: "{% if record %}{% endif %}"', "Statements"),
        ('condition: "{{ record.role | shout }}"', "cannot be read"),
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
def test_a_step_that_cannot_be_done_is_refused(step: str, word: str) -> None:
    """Each is found before anything runs, and the sentence says what to write."""
    assert any(word in text for text in mistakes(with_step(step)).values())


def test_reads_may_be_repeated_and_writes_only_if_the_file_says_so() -> None:
    """A POST is not said twice by itself."""

    def repeatable(step: str) -> bool:
        return read(with_step(step)).steps[1].repeatable

    assert repeatable("request: {path: /contacts}")
    assert repeatable("request: {path: /contacts/1, method: put}")
    assert not repeatable("request: {path: /contacts, method: POST}")
    assert not repeatable("http: {url: https://a.example}")
    assert repeatable("http: {url: https://a.example}\n    repeatable: true")


def test_a_folder_keeps_the_good_ones(tmp_path: Path) -> None:
    """A file with mistakes, or of a name that is taken, stands in nobody's way."""
    directory = tmp_path
    (directory / "a.yaml").write_text(GOOD)
    (directory / "b.yml").write_text(GOOD)
    (directory / "c.yaml").write_text("name: x")
    (directory / "d.yaml").write_bytes(b"\xff\xfe")
    (directory / "notes.txt").write_text("nothing")
    folder = read_folder(directory, ())
    assert [each.path.name for each in folder.files] == ["a.yaml"]
    assert sorted(path.name for path in folder.mistakes) == ["b.yml", "c.yaml", "d.yaml"]


def test_the_examples_of_the_documentation_are_in_order() -> None:
    """Whoever copies one has a workflow that runs."""
    folder = read_folder(Path(__file__).parents[2] / "docs" / "workflows", ("app_url", "app_key", "sales_admin_id"))
    assert folder.mistakes == {}
    assert len(folder.files) == 3
    assert all(isinstance(each.workflow, Workflow) for each in folder.files)
