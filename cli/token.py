"""`intercom-mirror token`: a user token, as the application would sign it."""

import time

import click
import jwt

from settings import get_settings

# Minutes: long enough to look around, short enough that a copy in a shell's history is soon worth nothing.
_MINUTES = 60


@click.command()
@click.argument("user")
@click.option(
    "--minutes", default=_MINUTES, show_default=True, type=click.IntRange(1, 60 * 24), help="How long it holds."
)
def token(*, user: str, minutes: int) -> None:
    """
    Print a user token for USER; in development only.

    Open /connect?token=… with it in a browser, or send it as `Authorization: Bearer …`.
    """
    settings = get_settings()
    private_key = settings.user_token_private_key
    if private_key is None:
        raise click.ClickException(
            "Your application signs user tokens with the private half of USER_TOKEN_PUBLIC_KEY, which is not here."
        )
    now = int(time.time())
    claims: dict[str, object] = {"sub": user, "iat": now, "exp": now + minutes * 60}
    if settings.user_token_audience:
        claims["aud"] = settings.user_token_audience
    click.echo(jwt.encode(claims, private_key, algorithm="ES256"))
