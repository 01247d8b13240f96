"""Invented people and companies; every address is in a domain that is reserved for examples."""

import random
from typing import Any

from emulator.random_choice import chance

_FIRST = (
    "Ada", "Amara", "Anouk", "Bela", "Björn", "Chidi", "Dara", "Elif", "Farid", "Grace", "Hana", "Ines", "Ivo", "Jonas",
    "Kaja", "Lior", "Mira", "Nils", "Noor", "Oona", "Pavel", "Quinn", "Rosa", "Sami", "Tove", "Uma", "Vera", "Yusuf",
    "Zoë", "王伟",
)  # fmt: skip
_LAST = (
    "Abara", "Bianchi", "Cohen", "Dvořák", "Eriksen", "Fischer", "Gómez", "Haddad", "Ito", "Jansen", "Kowalski",
    "Larsen", "Moreau", "Nakamura", "O'Brien", "Okafor", "Petrov", "Quispe", "Rossi", "Schmidt", "Tanaka", "Usman",
    "Varga", "Weber", "Yavuz", "Zhou",
)  # fmt: skip
_PLACES = (
    ("Ireland", "Dublin", "Dublin", "IRL", "EU"), ("Germany", "Berlin", "Berlin", "DEU", "EU"),
    ("Nigeria", "Lagos", "Lagos", "NGA", "AF"), ("Japan", "Tokyo", "Tokyo", "JPN", "AS"),
    ("Brazil", "São Paulo", "São Paulo", "BRA", "SA"), ("Canada", "Ontario", "Toronto", "CAN", "NA"),
    ("Australia", "Victoria", "Melbourne", "AUS", "OC"),
)  # fmt: skip
_BROWSERS = (("chrome", "143.0.0.0"), ("firefox", "146.0"), ("safari", "18.6"))
_SYSTEMS = ("OS X 10.15.7", "Windows 10", "Linux", "iOS 18.6", "Android 15")
_BUSINESSES = ("Orchard", "Harbour", "Juniper", "Lantern", "Meridian", "Northwind", "Quarry", "Saffron", "Tidewater")
_FORMS = ("Ltd", "GmbH", "Labs", "& Daughters", "Cooperative", "SA")
_INDUSTRIES = ("Agriculture", "Education", "Health", "Logistics", "Music", "Software")
_PLANS = (("101", "Starter"), ("102", "Team"), ("103", "Scale"))
TIERS = ("bronze", "silver", "gold")
TAG_NAMES = ("vip", "trial", "churn risk", "beta", "newsletter", "partner", "press", "R&D", "été", "do not call",
             "invoice", "event 2026", "referral")  # fmt: skip
# Intercom's admin ids are numbers of seven digits.
OWNERS = (7_450_231, 7_450_232, None)


def person(rng: random.Random) -> dict[str, Any]:
    """Invent a user's values."""
    first, last, number = rng.choice(_FIRST), rng.choice(_LAST), rng.randrange(10**8)
    mailbox = first.encode("ascii", "ignore").decode().lower() or "wei"
    return visitor(rng) | {
        "name": f"{first} {last}",
        "email": f"{mailbox}{number % 10**6}@{rng.choice(_BUSINESSES).lower()}.example",
        "external_id": f"cust_{number}",
        # 555-0100 to 555-0199 are numbers that nobody has.
        "phone": f"+1{rng.randrange(200, 1000)}55501{rng.randrange(100):02d}" if chance(rng, 0.5) else None,
        "owner_id": rng.choice(OWNERS),
        "custom_attributes": attributes(rng),
    }


def visitor(rng: random.Random) -> dict[str, Any]:
    """Invent what is known of somebody who has said nothing yet: the browser and the place."""
    browser, version = rng.choice(_BROWSERS)
    country, region, city, country_code, continent_code = rng.choice(_PLACES)
    return {
        "browser": browser, "browser_version": version, "browser_language": rng.choice(("en", "de", "pt")),
        "os": rng.choice(_SYSTEMS),
        "location": {"type": "location", "country": country, "region": region, "city": city,
                     "country_code": country_code, "continent_code": continent_code},
    }  # fmt: skip


def attributes(rng: random.Random) -> dict[str, Any]:
    """Invent custom attributes, one of every type that Intercom has; a date is in unix seconds."""
    return {
        "plan_tier": rng.choice(TIERS),
        "seats": rng.randrange(1, 200),
        "score": rng.randrange(1000) / 8,
        "is_admin": chance(rng, 0.3),
        "renewal_at": 1_760_000_000 + rng.randrange(40_000_000),
    }


def business(rng: random.Random) -> dict[str, Any]:
    """Invent a company's values; some stay unset, as in life."""
    word, number = rng.choice(_BUSINESSES), rng.randrange(10**8)
    plan_id, plan_name = rng.choice(_PLANS)
    return {
        "name": f"{word} {rng.choice(_FORMS)}",
        "company_id": f"org_{number}",
        "plan": {"type": "plan", "id": plan_id, "name": plan_name} if chance(rng, 0.6) else None,
        "remote_created_at": 1_700_000_000_000 + rng.randrange(60_000_000) * 1000 if chance(rng, 0.7) else None,
        "size": rng.randrange(1, 5000) if chance(rng, 0.7) else None,
        "website": f"https://{word.lower()}.example" if chance(rng, 0.7) else None,
        "industry": rng.choice(_INDUSTRIES) if chance(rng, 0.7) else None,
        "monthly_spend": rng.randrange(10_000) if chance(rng, 0.7) else None,
        "custom_attributes": {"region": rng.choice(("emea", "apac", "amer")), "tickets": rng.randrange(50)},
    }
