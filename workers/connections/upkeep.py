"""
The regular upkeep of connections, every five seconds.

1.  Connect each token of the settings that was not connected before (`connect_configured_token`).
2.  Check the tokens that may no longer be valid (workers.connections.token_checks).
"""

import structlog
from redis import Redis

from intercom_api.errors import PermanentError, TransientError
from intercom_api.rate_limit.lanes import Lane
from settings import get_settings
from workers.connections import registry, token_checks, vault
from workers.connections.vault import VaultError
from workers.runtime.process_resources import redis
from workers.runtime.redis_keys import CONFIGURED_TOKEN

log = structlog.get_logger()

# Seconds until a token of the settings that Intercom refused is tried again. A correction in Intercom takes effect
# within that time, and the log gets six lines an hour.
RETRY_REFUSED_SECONDS = 600

_CONNECTED = "connected"
_REFUSED = "refused"


def maintain_connections() -> None:
    """Do one round of upkeep. Harmless at any time and any number of times. Raises what Redis and SQL raise."""
    for user_id, token in get_settings().tokens_to_connect.items():
        connect_configured_token(redis(), user_id, token)
    token_checks.run_checks(redis(), registry.end_refused_connections)


def connect_configured_token(client: Redis, user_id: str, token: str) -> None:
    """
    Connect a token of the settings, once.

    Redis remembers that it was connected, so that a user who disconnects the workspace stays disconnected. A different
    token in the settings is connected again.
    """
    key = f"{CONFIGURED_TOKEN}{vault.fingerprint(token)}"
    if client.exists(key):
        return
    try:
        registry.connect(user_id, token, registry.client_with_token(token, Lane.INTERACTIVE).me())
    except TransientError as error:
        log.info("a token of the settings could not be connected yet", user=user_id, error=str(error))
    except (PermanentError, VaultError) as error:
        client.set(key, _REFUSED, ex=RETRY_REFUSED_SECONDS)
        log.error("a token of the settings cannot be connected", user=user_id, error=str(error))  # noqa: TRY400 -- no traceback
    else:
        client.set(key, _CONNECTED)
