"""The command `intercom-mirror workflows`."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli import workflows as module
from cli.main import main
from settings import get_settings
from tests.stories.conftest import EmulatedIntercom
from tests.stories.workflow_harness import WorkflowHarness

FLOW = """\
name: greet
trigger: {on: contact.created, where: {role: user}}
settings: [app_key]
steps:
  - id: create
    action: create-contact
    with: {role: user, external_id: "twin-of-{{ record.id }}"}
  - id: pause
    wait: 5 minutes
  - id: greet
    action: send-message
    with: {contact_id: "{{ steps.create.contact.id }}", body: "Hello {{ record.name }}, {{ settings.app_key }}"}
"""


@pytest.fixture
def harness(site: EmulatedIntercom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkflowHarness]:
    """A workspace with a directory of workflows in the settings; wake-up messages are only recorded."""
    directory = tmp_path / "flows"
    directory.mkdir()
    monkeypatch.setenv("WORKFLOWS_DIR", str(directory))
    monkeypatch.setenv("WORKFLOW_SETTINGS", json.dumps({"app_key": "s3cret-key", "seats": 3}))
    get_settings.cache_clear()
    monkeypatch.setattr(module, "wake_workflows", lambda: site.wakeups.append("workflows"))
    with ExitStack() as stack:
        yield WorkflowHarness(site, directory, stack)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["workflows", *arguments])


def test_check_names_each_mistake_with_its_file_and_line(harness: WorkflowHarness) -> None:
    """The exit code is 1; for a directory without mistakes it is 0."""
    harness.write_file(FLOW)
    assert (run("check").exit_code, run("check").output) == (0, "1 valid.\n")
    (harness.directory / "bad.yaml").write_text(FLOW.replace("greet\n", "other\n", 1).replace("app_key]", "appkey]"))
    found = run("check")
    assert found.exit_code == 1
    assert "bad.yaml:3: The setting appkey is not in WORKFLOW_SETTINGS." in found.output
    assert "bad.yaml:12: Unknown name settings.app_key; known names: appkey." in found.output
    assert "1 of 2 files are not valid." in found.output
    assert run("check", str(harness.directory / "flow.yaml")).exit_code == 0


def test_a_dry_run_renders_every_step_and_sends_no_request(harness: WorkflowHarness) -> None:
    """The result of an earlier step is shown as its path; values of settings are hidden."""
    harness.write_file(FLOW)
    contact_id = harness.create_user(name="Ada", email="ada.dry@example.test")
    before = (len(harness.tenant.messages), dict(harness.tenant.calls), len(harness.workspace.contacts))
    for name in (contact_id, "ada.dry@example.test"):
        shown = json.loads(run("test", str(harness.directory / "flow.yaml"), "--record", name, "--json").output)
        assert shown["unmet"] == []
        assert [step["step"] for step in shown["steps"]] == ["create", "pause", "greet"]
        assert shown["steps"][0]["input"]["external_id"] == f"twin-of-{contact_id}"
        assert shown["steps"][1]["remark"] == "would wait for 300 seconds"
        assert shown["steps"][2]["input"] == {
            "contact_id": "<steps.create.contact.id>",
            "body": "Hello Ada, [settings.app_key]",
        }
    assert (len(harness.tenant.messages), dict(harness.tenant.calls), len(harness.workspace.contacts)) == before
    assert harness.runs() == []
    assert "Hello Ada" in run("test", str(harness.directory / "flow.yaml"), "--record", contact_id).output


def test_a_dry_run_shows_steps_that_depend_on_unknown_results(harness: WorkflowHarness) -> None:
    """Such a step is shown with the step that decides; the run does not seem to end there."""
    harness.write_file("""\
name: careful
trigger: {on: contact.created}
steps:
  - id: now
    action: get-contact
    with: {id: "{{ record.id }}"}
  - id: reachable
    condition: "{{ steps.now.contact.email != none and steps['now'].contact.role == 'lead' }}"
  - id: greet
    when: "{{ not steps.now.contact.unsubscribed_from_emails }}"
    action: send-message
    with: {contact_id: "{{ record.id }}", body: Hello}
  - id: plain
    when: "{{ record.name == 'Grace' }}"
    request: {path: /me}
""")
    contact_id = harness.create_user(name="Ada")
    shown = json.loads(run("test", str(harness.directory / "flow.yaml"), "--record", contact_id, "--json").output)
    assert [each["remark"] for each in shown["steps"]] == [
        "",
        "steps.now decides whether the run continues",
        "steps.now decides whether this step runs",
        "would be skipped: `when` is false",
    ]
    assert shown["steps"][2]["input"] == {"contact_id": contact_id, "body": "Hello"}


def test_a_dry_run_shows_what_would_fail(harness: WorkflowHarness) -> None:
    """A record that would start no run, and an unknown name in a template."""
    harness.write_file(
        FLOW.replace("role: user}}", "role: lead}}").replace("record.name", "record.custom_attributes.nick")
    )
    contact_id = harness.create_user(name="Ada")
    found = run("test", str(harness.directory / "flow.yaml"), "--record", contact_id)
    assert found.exit_code == 1
    assert "`where` requires another value of role" in found.output
    assert "Unknown name nick" in found.output
    assert run("test", str(harness.directory / "flow.yaml"), "--record", "unknown").exit_code == 1


def test_runs_are_listed_shown_and_replayed(harness: WorkflowHarness) -> None:
    """A failed run continues at the step that ended it."""
    harness.write_file(
        FLOW.replace("  - id: pause\n    wait: 5 minutes\n", "").replace("{{ steps.create.contact.id }}", "x")
    )
    harness.create_user(name="Ada")
    harness.work()
    [listed] = [json.loads(line) for line in run("runs", "--json").output.splitlines()]
    assert (listed["workflow"], listed["state"], listed["position"]) == ("greet", "failed", 1)
    shown = json.loads(run("show", str(listed["id"]), "--json").output)
    assert [step["state"] for step in shown["steps"]] == ["done", "failed"]
    assert "Ada" not in shown["error"]
    for text in (run("runs").output, run("list").output, run("show", str(listed["id"])).output):
        assert "greet" in text
        assert "s3cret" not in text
    assert run("replay", str(listed["id"])).output == f"Run {listed['id']} continues.\n"
    assert run("replay", str(listed["id"])).exit_code == 1
    harness.work()
    assert harness.states() == ["failed"]
    assert run("replay", str(listed["id"]), "--whole").exit_code == 0
    harness.write_file(FLOW.replace("  - id: pause\n    wait: 5 minutes\n", ""))
    harness.work()
    assert harness.states() == ["failed", "failed"]
    assert run("show", "4711").exit_code == 1
    assert harness._site.wakeups.count("workflows") == 2


def test_without_a_directory_it_names_the_missing_setting(site: EmulatedIntercom) -> None:  # noqa: ARG001 -- sets us up
    """Instead of a traceback."""
    found = run("check")
    assert found.exit_code == 1
    assert "WORKFLOWS_DIR" in found.output
