"""A log that nobody can flood."""

import pytest

from webhooks.serving.rate_limited_log import MAX_LINES, RateLimitedLog


def test_a_flood_leaves_a_few_lines_a_second_and_their_number(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A thousand refusals in a second are ten lines; the next line says how many were left out."""
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    log = RateLimitedLog()
    for _ in range(1000):
        log.warning("refused")
    assert capsys.readouterr().out.count("refused") == MAX_LINES
    now = 101.0
    log.warning("refused")
    log.warning("refused")
    lines = capsys.readouterr().out.splitlines()
    assert ["unlogged=990" in line for line in lines] == [True, False]
