"""Keeping connections true: tokens of the settings are connected, and doubtful ones are looked at."""

import structlog
from redis import Redis

from intercom_api.errors import PermanentError, TransientError
from intercom_api.rate_limit.lanes import Lane
from settings import get_settings
from workers.connections import registry, token_checks, vault
from workers.connections.vault import VaultError
from workers.runtime.process import redis
from workers.runtime.redis_keys import CONFIGURED_TOKEN

log = structlog.get_logger()

# Seconds before a token of the settings that Intercom refused is tried again: whoever mends it in Intercom does not
# wait long, and the log gets six lines an hour.
REFUSED_SECONDS = 600

_CONNECTED = "connected"
_REFUSED = "refused"


def maintain_connections() -> None:
    """Do both; harmless at any time and any number of times. Raises what Redis and SQL raise."""
    for user_id, token in get_settings().tokens_to_connect.items():
        connect_configured_token(redis(), user_id, token)
    token_checks.run_checks(redis(), registry.end_refused_connections)


def connect_configured_token(client: Redis, user_id: str, token: str) -> None:
    """
    Connect a token of the settings, once.

    Redis remembers that it was, so that a user who disconnects the workspace is not connected again behind their back;
    another token in the settings is another matter.
    """
    key = f"{CONFIGURED_TOKEN}{vault.fingerprint(token)}"
    if client.exists(key):
        return
    try:
        registry.connect(user_id, token, registry.client_with_token(token, Lane.INTERACTIVE).me())
    except TransientError as error:
        log.info("a token of the settings could not be connected yet", user=user_id, error=str(error))
    except (PermanentError, VaultError) as error:
        client.set(key, _REFUSED, ex=REFUSED_SECONDS)
        log.error("a token of the settings cannot be connected", user=user_id, error=str(error))  # noqa: TRY400 -- no traceback
    else:
        client.set(key, _CONNECTED)
