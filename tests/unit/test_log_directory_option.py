"""The directory in which the long runs keep their logs."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.long.scale.__main__ import main as scale
from tests.long.torture.__main__ import main as torture


@pytest.mark.parametrize("command", [torture, scale], ids=["torture", "scale"])
def test_a_directory_that_is_not_empty_is_refused(
    command: click.Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The current directory, which an empty name stands for, is refused too: logs and keys must not mix with files."""
    (tmp_path / "own").write_text("")
    monkeypatch.chdir(tmp_path)
    for name in (str(tmp_path), ""):
        ended = CliRunner().invoke(command, ["--keep", name])
        assert ended.exit_code == click.UsageError.exit_code
        assert "is not empty" in ended.output
    assert [each.name for each in tmp_path.iterdir()] == ["own"]
