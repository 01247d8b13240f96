"""`intercom-mirror token`: a user token for development, as the application would sign it."""

import time

import click

from settings import get_settings

# Minutes: enough to try things out, and a copy in a shell's history is soon worthless.
_MINUTES = 60


@click.command()
@click.argument("user")
@click.option("--minutes", default=_MINUTES, show_default=True, type=click.IntRange(1, 60 * 24), help="Lifetime.")
def token(*, user: str, minutes: int) -> None:
    """
    Print a user token for USER; in development only.

    The output is the token and nothing else. Open /connect?token=… with it in a browser, or send it as
    `Authorization: Bearer …`.
    """
    import jwt  # noqa: PLC0415 -- 0.2 s for cryptography, which the command's help does not need

    settings = get_settings()
    private_key = settings.user_token_private_key
    if private_key is None:
        raise click.ClickException(
            "Your application signs user tokens: the private half of USER_TOKEN_PUBLIC_KEY is not here."
        )
    now = int(time.time())
    claims: dict[str, object] = {"sub": user, "iat": now, "exp": now + minutes * 60}
    if settings.user_token_audience:
        claims["aud"] = settings.user_token_audience
    click.echo(jwt.encode(claims, private_key, algorithm="ES256"))
