"""`python -m webhooks`: the former start command of the web process. Use `intercom-mirror web`."""

import structlog

from settings import SettingsError, logs
from webhooks.process import serve

log = structlog.get_logger()


def main() -> None:
    """Log that the command is deprecated, then serve."""
    try:
        logs.configure("web")
        log.warning("this start command is deprecated", use="intercom-mirror web")
        serve()
    except SettingsError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
