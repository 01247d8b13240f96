"""The emulator's access tokens stay valid after a restart."""

import random

import pytest

from emulator.api.access_tokens import AccessTokens
from emulator.api.api_errors import ApiError

SECRET = "cs_example"


def access_tokens(seed: int, secret: str = SECRET) -> AccessTokens:
    return AccessTokens("app", (secret,), {"demo0001", "demo0002"}, random.Random(seed))  # noqa: S311 -- it guards nothing


def new_token(tokens: AccessTokens, secret: str = SECRET) -> str:
    return tokens.exchange(tokens.new_code("demo0002", "EU"), "app", secret, revoke_earlier=False)


def test_a_token_of_an_earlier_run_is_valid() -> None:
    """A user need not connect again after each start of the emulator."""
    assert access_tokens(2).workspace_of(new_token(access_tokens(1))) == "demo0002"


def test_removing_the_app_revokes_tokens_of_earlier_runs() -> None:
    """Only tokens of the same workspace are revoked; a new authorisation gives a valid one."""
    earlier, tokens = new_token(access_tokens(1)), access_tokens(2)
    tokens.revoke_workspace("demo0001")
    assert tokens.workspace_of(earlier) == "demo0002"
    tokens.revoke_workspace("demo0002")
    with pytest.raises(ApiError):
        tokens.workspace_of(earlier)
    assert tokens.workspace_of(new_token(tokens)) == "demo0002"


@pytest.mark.parametrize("token", ["", "something", "dG9rOjE6ZGVtbzAwMDE6w6k=", "dG9rOjE6ZGVtbzAwMDE6MA=="])
def test_an_invalid_token_is_refused(token: str) -> None:
    """Arbitrary text, imitations, and a token of another app are invalid."""
    for each in (token, new_token(access_tokens(1, "another"), "another")):
        with pytest.raises(ApiError):
            access_tokens(2).workspace_of(each)
