"""
The naive design, as tutorials teach it: verify, `.delay(payload)`, one task, one upsert, one commit.

It has every advantage that needs no extra code: no result backend, no log line per task, two web processes, a
connection pool, and no ledger, no change feed, no check of the order and no links to write.
"""

import hashlib
import hmac
import os
from datetime import datetime
from typing import Any

from celery import Celery
from flask import Flask, abort, request
from flask.typing import ResponseReturnValue
from sqlalchemy import create_engine
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.types import DateTime

CLIENT_SECRET = os.environ["INTERCOM_CLIENT_SECRET"]
# The key of the tasks that no worker has fetched yet, in Celery's Redis transport.
QUEUE = "celery"

flask_app = Flask(__name__)
celery_app = Celery("naive", broker=os.environ["REDIS_URL"])
celery_app.conf.task_ignore_result = True
engine = create_engine(os.environ["DATABASE_URL"])


class Base(DeclarativeBase):
    """All tables of the naive design."""


class Contact(Base):
    """A contact as in a tutorial: the usual columns and the whole object."""

    __tablename__ = "contacts"
    workspace_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    external_id: Mapped[str | None]
    role: Mapped[str | None]
    email: Mapped[str | None] = mapped_column(index=True)
    phone: Mapped[str | None]
    name: Mapped[str | None]
    created_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    last_seen_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    custom_attributes: Mapped[dict[str, Any]] = mapped_column(JSONB)
    raw: Mapped[dict[str, Any]] = mapped_column(JSONB)


@flask_app.post("/webhooks/intercom")
def receive() -> ResponseReturnValue:
    """Verify the signature and hand the payload to Celery."""
    digest = hmac.new(CLIENT_SECRET.encode(), request.get_data(), hashlib.sha1).hexdigest()
    if not hmac.compare_digest(f"sha1={digest}", request.headers.get("X-Hub-Signature", "")):
        abort(401)
    handle_webhook.delay(request.get_json())
    return "", 200


@celery_app.task  # type: ignore[untyped-decorator]  # Celery is not typed
def handle_webhook(payload: dict[str, Any]) -> None:
    """Store the contact of one webhook."""
    try:
        _store(payload["data"]["item"])
    except IntegrityError:
        # Two workers inserted the same new contact; the second attempt is an update.
        _store(payload["data"]["item"])


def _store(item: dict[str, Any]) -> None:
    with Session(engine) as session:
        session.merge(
            Contact(
                workspace_id=item["workspace_id"],
                id=item["id"],
                external_id=item["external_id"],
                role=item["role"],
                email=item["email"],
                phone=item["phone"],
                name=item["name"],
                created_at=_time(item["created_at"]),
                updated_at=_time(item["updated_at"]),
                last_seen_at=_time(item["last_seen_at"]),
                custom_attributes=item["custom_attributes"],
                raw=item,
            )
        )
        session.commit()


def _time(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


if __name__ == "__main__":
    Base.metadata.create_all(engine)
