"""
The settings: read once from the environment, validated together, with all mistakes in one error.

SettingsError: one or more variables are invalid; the message gives a valid value for each. Waiting never helps.
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

# The emulator's first workspace, and the user connected to it in development.
DEMO_WORKSPACE = "demo0001"
DEMO_USER = "demo"
# The user that a private app's own token is stored for.
DEFAULT_USER = "default"

# Bytes. Intercom's notifications have a few kilobytes; one body over 64 MiB exceeds what may wait for Redis.
_MAX_BODY_BYTES_LIMIT = 64 * 1024 * 1024


class SettingsError(Exception):
    """
    The settings are invalid.

    Attributes:
        mistakes: one or two sentences for each invalid variable; secrets are never repeated in them.
    """

    def __init__(self, mistakes: list[str]) -> None:
        self.mistakes = mistakes
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        super().__init__("\n".join([f"{count} in the settings:", *(f"  {mistake}" for mistake in mistakes)]))


CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(validation.split_commas)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseSettings):
    """
    The configuration of every process. The code uses the names of the fields; the aliases are the variables.

    Each description completes "NAME is invalid. Set it to …", for mistakes that a field's validator does not explain.
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
    client_secrets: Annotated[CommaSeparated, AfterValidator(validation.client_secrets)] = Field(
        (), validation_alias="INTERCOM_CLIENT_SECRET", repr=False, description="the client secret of your app."
    )
    api_url: Annotated[str, AfterValidator(validation.api_url)] = Field(
        "", validation_alias="INTERCOM_API_URL", repr=False, description="a URL that begins with https://."
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
        "", validation_alias="USER_TOKEN_AUDIENCE", description="the value of `aud` in your user tokens."
    )
    configured_encryption_keys: Annotated[CommaSeparated, AfterValidator(validation.encryption_keys)] = Field(
        (), validation_alias="TOKEN_ENCRYPTION_KEYS", repr=False, description="Fernet keys, separated by commas."
    )
    database_url: Annotated[str, AfterValidator(addresses.database_url)] = Field(
        "sqlite:///var/mirror.db", validation_alias="DATABASE_URL", repr=False, description="the URL of a database."
    )
    configured_redis_url: Annotated[str, AfterValidator(addresses.redis_url)] = Field(
        "", validation_alias="REDIS_URL", repr=False, description="the URL of a Redis server."
    )
    host: Annotated[str, AfterValidator(validation.host)] = Field(
        "127.0.0.1", validation_alias="HOST", description="an address of this machine."
    )
    port: Port = Field(8000, validation_alias="PORT", description="a port from 1 to 65535, such as 8000.")
    public_url: Annotated[str, AfterValidator(validation.public_url)] = Field(
        "", validation_alias="PUBLIC_URL", description="a URL that begins with https://."
    )
    allowed_origins: Annotated[CommaSeparated, AfterValidator(validation.origins)] = Field(
        (), validation_alias="ALLOWED_ORIGINS", description="origins such as https://app.example.com."
    )
    configured_admin_token: str = Field(
        "", validation_alias="ADMIN_TOKEN", repr=False, description="32 random characters."
    )
    max_body_bytes: int = Field(
        1024 * 1024,
        validation_alias="MAX_BODY_BYTES",
        ge=1024,
        le=_MAX_BODY_BYTES_LIMIT,
        description=f"a number of bytes from 1024 to {_MAX_BODY_BYTES_LIMIT}, such as 1048576.",
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
    workflows_dir: Annotated[Path | None, BeforeValidator(validation.directory)] = Field(
        None, validation_alias="WORKFLOWS_DIR", description="the path of a directory with workflow files."
    )
    workflow_settings: Annotated[
        dict[str, str | int | float | bool], NoDecode, BeforeValidator(validation.template_values)
    ] = Field(
        {}, validation_alias="WORKFLOW_SETTINGS", repr=False, description='JSON such as {"app_url": "https://…"}.'
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
        """Whether the development credentials are in use: the emulator replaces Intercom, on this machine only."""
        return self.client_id == DEVELOPMENT_CLIENT_ID

    @property
    def local_emulator_port(self) -> int | None:
        """The port of the emulator that replaces Intercom; None with the credentials of a real app."""
        return self.emulator_port if self.development else None

    @cached_property
    def var_dir(self) -> Path:
        """The directory for files that the product creates: `var` in the working directory at the start."""
        return Path.cwd() / "var"

    @property
    def embedded_redis(self) -> bool:
        """Whether `intercom-mirror up` runs the embedded Valkey server."""
        return not self.configured_redis_url

    @cached_property
    def redis_socket(self) -> Path:
        """The socket of the embedded Valkey server; it may not exist."""
        return addresses.socket_path(self.var_dir)

    @cached_property
    def redis_url(self) -> str:
        """The URL of the Redis server with the inbox, in redis-py's format."""
        return self.configured_redis_url or addresses.unix_url(self.redis_socket)

    @cached_property
    def broker_url(self) -> str:
        """The URL of the same server in Celery's format."""
        return addresses.celery_broker_url(self.redis_url)

    @cached_property
    def admin_token(self) -> str | None:
        """The operator's token; generated once in development, else None if ADMIN_TOKEN is blank."""
        if self.configured_admin_token or not self.development:
            return self.configured_admin_token or None
        return generated_secrets.read_or_create(self.admin_token_file, generated_secrets.token)

    @property
    def admin_token_file(self) -> Path:
        """The file of the generated operator's token."""
        return self.var_dir / "admin-token"

    @property
    def redirect_url(self) -> str:
        """The address that Intercom redirects a browser to; the Developer Hub must list it."""
        return f"{self.public_url}/oauth/callback"

    @cached_property
    def encryption_keys(self) -> tuple[str, ...]:
        """The Fernet keys, newest first; generated once in development. Without any, connecting is not possible."""
        if self.configured_encryption_keys or not self.development:
            return self.configured_encryption_keys
        return (generated_secrets.read_or_create(self.var_dir / "token-encryption-key", generated_secrets.fernet_key),)

    @cached_property
    def user_keys(self) -> "tuple[UserKey, ...]":
        """The keys that verify user tokens; generated once in development. Without any, connecting is not possible."""
        from settings import user_keys  # noqa: PLC0415 -- receiving notifications does not need the cryptography library

        if self.configured_user_keys:
            return user_keys.parse(self.configured_user_keys)
        private_key = self.user_token_private_key
        return () if private_key is None else user_keys.parse(user_keys.public_pem(private_key))

    @property
    def user_token_private_key(self) -> str | None:
        """The PEM key of `intercom-mirror token`, generated once; None if the application signs user tokens."""
        from settings import user_keys  # noqa: PLC0415 -- as above

        if self.configured_user_keys or not self.development:
            return None
        return generated_secrets.read_or_create(self.var_dir / "user-token-key.pem", user_keys.new_private_pem)

    @property
    def tokens_to_connect(self) -> dict[str, str]:
        """The Intercom tokens to connect at start, by user: the demo's in development, and INTERCOM_ACCESS_TOKEN."""
        tokens = {DEMO_USER: f"{validation.DEVELOPMENT_TOKEN_PREFIX}{DEMO_WORKSPACE}"} if self.development else {}
        return tokens | ({DEFAULT_USER: self.access_token} if self.access_token else {})


@cache
def get_settings() -> Settings:
    """
    Return the settings of this process; the first call reads them from the environment and from `.env`.

    Raises:
        SettingsError: one or more variables are invalid.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError([_sentence(mistake) for mistake in error.errors()]) from None


def variables() -> dict[str, Any]:
    """Return the name of each variable and its default."""
    return {str(field.validation_alias): field.default for field in Settings.model_fields.values()}


def _sentence(mistake: Any) -> str:
    # For an invalid default (a blank secret with a client id) pydantic reports the field's name, not the alias.
    where = mistake["loc"][0]
    name, field = next(
        (str(field.validation_alias), field)
        for attribute, field in Settings.model_fields.items()
        if where in (attribute, field.validation_alias)
    )
    if mistake["type"] == "value_error":
        return f"{name} {mistake['ctx']['error']}"
    return f"{name} is invalid. Set it to {field.description}"
