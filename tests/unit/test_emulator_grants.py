"""Tokens of the pretend Intercom outlive it, as a workspace's connection should."""

import random

import pytest

from emulator.api.access_tokens import AccessTokens
from emulator.api.api_errors import ApiError

SECRET = "cs_example"


def grants(seed: int, secret: str = SECRET) -> AccessTokens:
    return AccessTokens("app", (secret,), {"demo0001", "demo0002"}, random.Random(seed))  # noqa: S311 -- it guards nothing


def token_of(made: AccessTokens, secret: str = SECRET) -> str:
    return made.exchange(made.new_code("demo0002", "EU"), "app", secret, revoke_earlier=False)


def test_a_token_of_an_earlier_run_is_good_in_the_next_one() -> None:
    """Who connected need not do so again after each start."""
    assert grants(2).workspace_of(token_of(grants(1))) == "demo0002"


def test_a_removed_app_ends_the_tokens_of_earlier_runs_too() -> None:
    """Those of the same workspace; who allows the app anew gets a good one."""
    before, now = token_of(grants(1)), grants(2)
    now.revoke_workspace("demo0001")
    assert now.workspace_of(before) == "demo0002"
    now.revoke_workspace("demo0002")
    with pytest.raises(ApiError):
        now.workspace_of(before)
    assert now.workspace_of(token_of(now)) == "demo0002"


@pytest.mark.parametrize("token", ["", "something", "dG9rOjE6ZGVtbzAwMDE6w6k=", "dG9rOjE6ZGVtbzAwMDE6MA=="])
def test_what_nobody_gave_is_no_token(token: str) -> None:
    """Neither junk nor what looks like one; nor a token of another app."""
    for each in (token, token_of(grants(1, "another"), "another")):
        with pytest.raises(ApiError):
            grants(2).workspace_of(each)
