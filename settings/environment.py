"""
The settings: read once, checked whole, and every mistake told at once.

    SettingsError: one or more variables are wrong; its text says for each what to write. Waiting never helps.
"""

from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from settings import addresses, made

# What `client_id` is while no app of the Developer Hub is configured.
DEVELOPMENT_CLIENT_ID = "development"
# Known to everybody who reads this line, so it opens only an address that nobody else can reach.
DEVELOPMENT_CLIENT_SECRET = "development-only-client-secret"  # noqa: S105 -- it is no secret, as said above

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


def _separate(text: Any) -> Any:
    """Split what is separated by commas; one blank text is an empty list."""
    return tuple(part.strip() for part in text.split(",")) if isinstance(text, str) and text.strip() else ()


Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_separate)]
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

    client_id: str = Field("", validation_alias="INTERCOM_CLIENT_ID", description="the client id of your app.")
    client_secrets: Listed = Field(
        (), validation_alias="INTERCOM_CLIENT_SECRET", repr=False, description="the client secret of your app."
    )
    database_url: Annotated[str, AfterValidator(addresses.database)] = Field(
        "sqlite:///var/mirror.db", validation_alias="DATABASE_URL", repr=False, description="a database's URL."
    )
    given_redis_url: Annotated[str, AfterValidator(addresses.redis)] = Field(
        "", validation_alias="REDIS_URL", repr=False, description="a Redis URL."
    )
    host: str = Field("127.0.0.1", validation_alias="HOST", description="an address of this machine.")
    port: Port = Field(8000, validation_alias="PORT", description="a port from 1 to 65535, such as 8000.")
    public_url: str = Field("", validation_alias="PUBLIC_URL", description="an address that begins with https://.")
    admin_token_given: str = Field("", validation_alias="ADMIN_TOKEN", repr=False, description="32 random characters.")
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
    emulator_port: Port = Field(
        8001, validation_alias="EMULATOR_PORT", description="a port from 1 to 65535, such as 8001."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", validation_alias="LOG_LEVEL", description="debug, info, warning or error."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", validation_alias="LOG_FORMAT", description="auto, console or json."
    )

    @field_validator("client_id")
    @classmethod
    def _name_development(cls, client_id: str) -> str:
        return client_id or DEVELOPMENT_CLIENT_ID

    @field_validator("client_secrets")
    @classmethod
    def _check_secrets(cls, secrets: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.data.get("client_id") == DEVELOPMENT_CLIENT_ID:
            if secrets:
                raise ValueError("is set, but INTERCOM_CLIENT_ID is not. Write both, or neither to use the emulator.")
            return (DEVELOPMENT_CLIENT_SECRET,)
        if not secrets:
            raise ValueError("is missing. Write the client secret of the app that INTERCOM_CLIENT_ID names.")
        if "" in secrets:
            raise ValueError("holds an empty secret, which anyone could sign with. Write no comma too many.")
        return secrets

    @field_validator("host")
    @classmethod
    def _keep_development_at_home(cls, host: str, info: ValidationInfo) -> str:
        if info.data.get("client_id") == DEVELOPMENT_CLIENT_ID and not addresses.is_loopback(host):
            raise ValueError(
                f"is {host}, which others can reach, and development credentials are known to everybody. "
                "Write INTERCOM_CLIENT_ID and INTERCOM_CLIENT_SECRET as well, or HOST=127.0.0.1."
            )
        return host

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, url: str, info: ValidationInfo) -> str:
        if not url:
            return addresses.http(info.data.get("host", "127.0.0.1"), info.data.get("port", 8000))
        host = addresses.http_host(url)
        if info.data.get("client_id") == DEVELOPMENT_CLIENT_ID and not addresses.is_loopback(host):
            raise ValueError(
                f"is at {host}, which others can reach, and development credentials are known to everybody. "
                "Write INTERCOM_CLIENT_ID and INTERCOM_CLIENT_SECRET as well, or leave PUBLIC_URL out."
            )
        return url.rstrip("/")

    @field_validator("emulator_port")
    @classmethod
    def _keep_ports_apart(cls, port: int, info: ValidationInfo) -> int:
        if port == info.data.get("port"):
            raise ValueError(f"is {port}, as is PORT. Write another number.")
        return port

    @property
    def development(self) -> bool:
        """Whether the built-in emulator plays Intercom."""
        return self.client_id == DEVELOPMENT_CLIENT_ID

    @cached_property
    def var_dir(self) -> Path:
        """Where everything that we make ourselves is kept: `var` under the directory we were started in."""
        return Path.cwd() / "var"

    @property
    def embedded_redis(self) -> bool:
        """Whether `intercom-mirror up` runs a Valkey of our own."""
        return not self.given_redis_url

    @cached_property
    def redis_socket(self) -> Path:
        """The embedded Valkey's socket; it may not exist."""
        return addresses.socket_path(self.var_dir)

    @cached_property
    def redis_url(self) -> str:
        """Where the inbox is, as redis-py reads it."""
        return self.given_redis_url or addresses.unix(self.redis_socket)

    @cached_property
    def broker_url(self) -> str:
        """The same Redis, as Celery reads it."""
        return addresses.broker(self.redis_url)

    @cached_property
    def admin_token(self) -> str | None:
        """The operator's key; made once in development, None where nobody gave one."""
        if self.admin_token_given or not self.development:
            return self.admin_token_given or None
        return made.once(self.var_dir / "admin-token", made.token)


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
