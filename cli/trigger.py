"""`intercom-mirror trigger`: send a signed example notification to the local web process."""

import json
import time

import click
import requests

from emulator import example_notifications
from intercom_api.wire.signatures import sign
from settings import Settings, addresses, get_settings

# Seconds; the web process responds within three.
_TIMEOUT_SECONDS = 5.0


@click.command()
@click.argument("topic", type=click.Choice(sorted(example_notifications.TOPICS)), metavar="TOPIC")
@click.option("--print", "only_print", is_flag=True, help="Print the notification instead of sending it.")
def trigger(*, topic: str, only_print: bool) -> None:
    """
    Send a signed example of TOPIC to the web process.

    All examples describe the same few emulated objects. An unknown TOPIC prints a list of the known ones.
    """
    body = json.dumps(example_notifications.example(topic, time.time())).encode()
    if only_print:
        click.echo(body)
        return
    settings = get_settings()
    status = _post(settings, body)
    click.echo(f"{topic}: response status {status}")
    if status != requests.codes.ok:
        raise click.ClickException("The notification was refused; the log of the web process has the reason.")


def _post(settings: Settings, body: bytes) -> int:
    address = addresses.http_url(settings.host, settings.port)
    headers = {"Content-Type": "application/json", "X-Hub-Signature": sign(body, settings.client_secrets[0])}
    with requests.Session() as session:
        # A proxy set in the environment cannot reach this machine's own address.
        session.trust_env = False
        try:
            url = f"{address}/webhooks/intercom"
            return session.post(
                url, data=body, headers=headers, timeout=_TIMEOUT_SECONDS, allow_redirects=False
            ).status_code
        except requests.RequestException as error:
            raise click.ClickException(
                f"No web process responds at {address}. Run `intercom-mirror up` first."
            ) from error
