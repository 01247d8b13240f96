"""The settings WORKFLOWS_DIR and WORKFLOW_SETTINGS."""

from pathlib import Path

import pytest

from settings import Settings, SettingsError, get_settings


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty working directory, and neither variable set."""
    monkeypatch.chdir(tmp_path)
    for name in ("WORKFLOWS_DIR", "WORKFLOW_SETTINGS"):
        monkeypatch.delenv(name, raising=False)
    get_settings.cache_clear()
    return tmp_path


def read(monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    return get_settings()


def test_blank_means_no_workflows(variables: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 -- clears
    """No directory and no names."""
    settings = read(monkeypatch)
    assert (settings.workflows_dir, settings.workflow_settings) == (None, {})


def test_a_directory_and_names_are_read(variables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path is relative to the working directory; values keep their types, and no repr shows them."""
    (variables / "flows").mkdir()
    settings = read(monkeypatch, WORKFLOWS_DIR="flows", WORKFLOW_SETTINGS='{"key": "s3cret", "seats": 3, "on": true}')
    assert settings.workflows_dir == variables / "flows"
    assert settings.workflow_settings == {"key": "s3cret", "seats": 3, "on": True}
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize("value", ["s3cret", "[1]", '{"a b": 1}', '{"a": {"b": "s3cret"}}', '{"a": null}', '{"1": 1}'])
def test_invalid_values_are_refused(variables: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """The error explains what to write, and does not repeat the value."""
    with pytest.raises(SettingsError) as caught:
        read(monkeypatch, WORKFLOW_SETTINGS=value, WORKFLOWS_DIR=str(variables / "nowhere"))
    assert [each.split()[0] for each in caught.value.mistakes] == ["WORKFLOWS_DIR", "WORKFLOW_SETTINGS"]
    assert "s3cret" not in str(caught.value)
