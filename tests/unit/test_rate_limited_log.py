"""The log of refusals is limited in lines per second."""

import pytest

from webhooks.serving.rate_limited_log import MAX_LINES, RateLimitedLog


def test_a_flood_is_reduced_to_ten_lines_and_a_count(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A thousand refusals in a second give ten lines; the next line has the number of those left out."""
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
