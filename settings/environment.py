"""
The settings: read once, checked whole, and every mistake told at once.

    SettingsError: one or more variables are wrong; its text says for each what to write. Waiting never helps.
"""

from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from settings import addresses, generated_secrets, validation
from settings.validation import DEVELOPMENT_CLIENT_ID, DEVELOPMENT_CLIENT_SECRET

if TYPE_CHECKING:
    from settings.user_keys import UserKey

__all__ = ["DEVELOPMENT_CLIENT_ID", "DEVELOPMENT_CLIENT_SECRET", "Settings", "SettingsError", "get_settings"]

# The emulator's first workspace, and the user who is connected to it in development.
DEMO_WORKSPACE = "demo0001"
DEMO_USER = "demo"
# The user to whom a private app's own token belongs.
DEFAULT_USER = "default"

# Bytes. Intercom's notifications have a few kilobytes; beyond 64 MiB one body fills what may wait for Redis.
_LARGEST_BODY = 64 * 1024 * 1024


class SettingsError(Exception):
    """
    The environment cannot be used.

    Attributes:
        mistakes: one sentence or two for each wrong variable; secrets are never repeated in them.
    """

    def __init__(self, mistakes: list[str]) -> None:
        self.mistakes = mistakes
        count = "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        super().__init__("\n".join([f"The settings have {count}:", *(f"  {mistake}" for mistake in mistakes)]))


Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(validation.separate)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseSettings):
    """
    What every process goes by; the fields bear the names that the code uses, the aliases those of the variables.

    Each description completes "NAME cannot be used. Write …", where a field's own check says nothing better.
    """

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        str_strip_whitespace=True,
        validate_default=True,
    )

    client_id: Annotated[str, AfterValidator(validation.client_id)] = Field(
        "", validation_alias="INTERCOM_CLIENT_ID", description="the client id of your app."
    )
    client_secrets: Annotated[Listed, AfterValidator(validation.client_secrets)] = Field(
        (), validation_alias="INTERCOM_CLIENT_SECRET", repr=False, description="the client secret of your app."
    )
    api_url: Annotated[str, AfterValidator(validation.api_url)] = Field(
        "", validation_alias="INTERCOM_API_URL", repr=False, description="an address that begins with https://."
    )
    access_token: Annotated[str, AfterValidator(validation.access_token)] = Field(
        "", validation_alias="INTERCOM_ACCESS_TOKEN", repr=False, description="the access token of your private app."
    )
    api_version: Annotated[str, AfterValidator(validation.version)] = Field(
        "2.16", validation_alias="INTERCOM_VERSION", description="a version of Intercom's API, such as 2.16."
    )
    configured_user_keys: Annotated[str, AfterValidator(validation.user_keys)] = Field(
        "", validation_alias="USER_TOKEN_PUBLIC_KEY", repr=False, description="a public key in PEM, or a JWKS."
    )
    user_token_audience: str = Field(
        "", validation_alias="USER_TOKEN_AUDIENCE", description="what `aud` is in your user tokens."
    )
    configured_encryption_keys: Annotated[Listed, AfterValidator(validation.encryption_keys)] = Field(
        (), validation_alias="TOKEN_ENCRYPTION_KEYS", repr=False, description="Fernet keys, separated by commas."
    )
    database_url: Annotated[str, AfterValidator(addresses.database)] = Field(
        "sqlite:///var/mirror.db", validation_alias="DATABASE_URL", repr=False, description="a database's URL."
    )
    configured_redis_url: Annotated[str, AfterValidator(addresses.redis)] = Field(
        "", validation_alias="REDIS_URL", repr=False, description="a Redis URL."
    )
    host: Annotated[str, AfterValidator(validation.host)] = Field(
        "127.0.0.1", validation_alias="HOST", description="an address of this machine."
    )
    port: Port = Field(8000, validation_alias="PORT", description="a port from 1 to 65535, such as 8000.")
    public_url: Annotated[str, AfterValidator(validation.public_url)] = Field(
        "", validation_alias="PUBLIC_URL", description="an address that begins with https://."
    )
    allowed_origins: Annotated[Listed, AfterValidator(validation.origins)] = Field(
        (), validation_alias="ALLOWED_ORIGINS", description="origins such as https://app.example.com."
    )
    configured_admin_token: str = Field(
        "", validation_alias="ADMIN_TOKEN", repr=False, description="32 random characters."
    )
    max_body_bytes: int = Field(
        1024 * 1024,
        validation_alias="MAX_BODY_BYTES",
        ge=1024,
        le=_LARGEST_BODY,
        description=f"a number of bytes from 1024 to {_LARGEST_BODY}, such as 1048576.",
    )
    redis_appendfsync: Literal["always", "everysec"] = Field(
        "always", validation_alias="REDIS_APPENDFSYNC", description="always or everysec."
    )
    require_durable_inbox: bool = Field(
        default=False, validation_alias="REQUIRE_DURABLE_INBOX", description="1 for yes or 0 for no."
    )
    retention_days: int = Field(
        30, validation_alias="RETENTION_DAYS", ge=1, le=3650, description="a number of days from 1 to 3650, such as 30."
    )
    workflows_dir: Annotated[Path | None, BeforeValidator(validation.folder)] = Field(
        None, validation_alias="WORKFLOWS_DIR", description="the path of a folder with workflow files."
    )
    workflow_settings: Annotated[dict[str, str | int | float | bool], NoDecode, BeforeValidator(validation.named)] = (
        Field(
            {}, validation_alias="WORKFLOW_SETTINGS", repr=False, description='JSON such as {"app_url": "https://…"}.'
        )
    )
    allow_private_targets: bool = Field(
        default=False, validation_alias="ALLOW_PRIVATE_TARGETS", description="1 for yes or 0 for no."
    )
    emulator_port: Annotated[Port, AfterValidator(validation.emulator_port)] = Field(
        8001, validation_alias="EMULATOR_PORT", description="a port from 1 to 65535, such as 8001."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", validation_alias="LOG_LEVEL", description="debug, info, warning or error."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", validation_alias="LOG_FORMAT", description="auto, console or json."
    )

    @property
    def development(self) -> bool:
        """Whether the development credentials are in use: the emulator stands in for Intercom, on this machine only."""
        return self.client_id == DEVELOPMENT_CLIENT_ID

    @property
    def local_emulator_port(self) -> int | None:
        """The port of the emulator that stands in for Intercom; None where the credentials are a real app's."""
        return self.emulator_port if self.development else None

    @cached_property
    def var_dir(self) -> Path:
        """Where everything that we make ourselves is kept: `var` under the directory we were started in."""
        return Path.cwd() / "var"

    @property
    def embedded_redis(self) -> bool:
        """Whether `intercom-mirror up` runs a Valkey of our own."""
        return not self.configured_redis_url

    @cached_property
    def redis_socket(self) -> Path:
        """The embedded Valkey's socket; it may not exist."""
        return addresses.socket_path(self.var_dir)

    @cached_property
    def redis_url(self) -> str:
        """Where the inbox is, as redis-py reads it."""
        return self.configured_redis_url or addresses.unix(self.redis_socket)

    @cached_property
    def broker_url(self) -> str:
        """The same Redis, as Celery reads it."""
        return addresses.celery_broker_url(self.redis_url)

    @cached_property
    def admin_token(self) -> str | None:
        """The operator's key; made once in development, None where nobody gave one."""
        if self.configured_admin_token or not self.development:
            return self.configured_admin_token or None
        return generated_secrets.once(self.var_dir / "admin-token", generated_secrets.token)

    @property
    def redirect_url(self) -> str:
        """Where Intercom sends a browser back to; what the Developer Hub must list."""
        return f"{self.public_url}/oauth/callback"

    @cached_property
    def encryption_keys(self) -> tuple[str, ...]:
        """The Fernet keys, newest first; made once in development, none where nobody can connect."""
        if self.configured_encryption_keys or not self.development:
            return self.configured_encryption_keys
        return (generated_secrets.once(self.var_dir / "token-encryption-key", generated_secrets.fernet_key),)

    @cached_property
    def user_keys(self) -> "tuple[UserKey, ...]":
        """What verifies user tokens; in development the public half of a key of ours. None where nobody can connect."""
        from settings import user_keys  # noqa: PLC0415 -- receiving does without the library of the keys

        if self.configured_user_keys:
            return user_keys.parse(self.configured_user_keys)
        private_key = self.user_token_private_key
        return () if private_key is None else user_keys.parse(user_keys.public_pem(private_key))

    @property
    def user_token_private_key(self) -> str | None:
        """What `intercom-mirror token` signs with, made once (PEM); None where the application signs user tokens."""
        from settings import user_keys  # noqa: PLC0415 -- as above

        if self.configured_user_keys or not self.development:
            return None
        return generated_secrets.once(self.var_dir / "user-token-key.pem", user_keys.new_private_pem)

    @property
    def tokens_to_connect(self) -> dict[str, str]:
        """The tokens to connect at start, by user: the demo's in development, and a private app's own."""
        found = {DEMO_USER: f"{validation.DEVELOPMENT_TOKEN_PREFIX}{DEMO_WORKSPACE}"} if self.development else {}
        return found | ({DEFAULT_USER: self.access_token} if self.access_token else {})


@cache
def get_settings() -> Settings:
    """
    Return the settings of this process; read from the environment and from `.env` when first asked.

    Raises:
        SettingsError: with all mistakes.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError([_sentence(mistake) for mistake in error.errors()]) from None


def variables() -> dict[str, Any]:
    """Return the name of each variable and its default."""
    return {str(field.validation_alias): field.default for field in Settings.model_fields.values()}


def _sentence(mistake: Any) -> str:
    # A default that is wrong (a blank secret beside a client id) is reported by the field's name.
    where = mistake["loc"][0]
    name, field = next(
        (str(field.validation_alias), field)
        for attribute, field in Settings.model_fields.items()
        if where in (attribute, field.validation_alias)
    )
    if mistake["type"] == "value_error":
        return f"{name} {mistake['ctx']['error']}"
    return f"{name} cannot be used. Write {field.description}"
