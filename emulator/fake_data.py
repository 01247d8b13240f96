"""Random invented people and companies. Their email addresses and web sites are in domains reserved for examples."""

import random
from typing import Any

from emulator.random_choice import chance

_FIRST_NAMES = (
    "Ada", "Amara", "Anouk", "Bela", "Björn", "Chidi", "Dara", "Elif", "Farid", "Grace", "Hana", "Ines", "Ivo", "Jonas",
    "Kaja", "Lior", "Mira", "Nils", "Noor", "Oona", "Pavel", "Quinn", "Rosa", "Sami", "Tove", "Uma", "Vera", "Yusuf",
    "Zoë", "王伟",
)  # fmt: skip
_LAST_NAMES = (
    "Abara", "Bianchi", "Cohen", "Dvořák", "Eriksen", "Fischer", "Gómez", "Haddad", "Ito", "Jansen", "Kowalski",
    "Larsen", "Moreau", "Nakamura", "O'Brien", "Okafor", "Petrov", "Quispe", "Rossi", "Schmidt", "Tanaka", "Usman",
    "Varga", "Weber", "Yavuz", "Zhou",
)  # fmt: skip
_LOCATIONS = (
    ("Ireland", "Dublin", "Dublin", "IRL", "EU"), ("Germany", "Berlin", "Berlin", "DEU", "EU"),
    ("Nigeria", "Lagos", "Lagos", "NGA", "AF"), ("Japan", "Tokyo", "Tokyo", "JPN", "AS"),
    ("Brazil", "São Paulo", "São Paulo", "BRA", "SA"), ("Canada", "Ontario", "Toronto", "CAN", "NA"),
    ("Australia", "Victoria", "Melbourne", "AUS", "OC"),
)  # fmt: skip
_BROWSERS = (("chrome", "143.0.0.0"), ("firefox", "146.0"), ("safari", "18.6"))
_OPERATING_SYSTEMS = ("OS X 10.15.7", "Windows 10", "Linux", "iOS 18.6", "Android 15")
_COMPANY_NAMES = ("Orchard", "Harbour", "Juniper", "Lantern", "Meridian", "Northwind", "Quarry", "Saffron", "Tidewater")
_LEGAL_FORMS = ("Ltd", "GmbH", "Labs", "& Daughters", "Cooperative", "SA")
_INDUSTRIES = ("Agriculture", "Education", "Health", "Logistics", "Music", "Software")
_PLANS = (("101", "Starter"), ("102", "Team"), ("103", "Scale"))
_TIERS = ("bronze", "silver", "gold")
TAG_NAMES = ("vip", "trial", "churn risk", "beta", "newsletter", "partner", "press", "R&D", "été", "do not call",
             "invoice", "event 2026", "referral")  # fmt: skip
# Owner ids of contacts are ids of admins, which have seven digits at Intercom; None: no owner.
OWNER_IDS = (7_450_231, 7_450_232, None)


def random_person(rng: random.Random) -> dict[str, Any]:
    """Return the values of a new user."""
    first, last, number = rng.choice(_FIRST_NAMES), rng.choice(_LAST_NAMES), rng.randrange(10**8)
    mailbox = first.encode("ascii", "ignore").decode().lower() or "wei"
    return random_visitor(rng) | {
        "name": f"{first} {last}",
        "email": f"{mailbox}{number % 10**6}@{rng.choice(_COMPANY_NAMES).lower()}.example",
        "external_id": f"cust_{number}",
        # 555-0100 to 555-0199 are reserved for fiction.
        "phone": f"+1{rng.randrange(200, 1000)}55501{rng.randrange(100):02d}" if chance(rng, 0.5) else None,
        "owner_id": rng.choice(OWNER_IDS),
        "custom_attributes": random_attributes(rng),
    }


def random_visitor(rng: random.Random) -> dict[str, Any]:
    """Return the values of a visitor who has not given a name or an address: the browser and the location."""
    browser, version = rng.choice(_BROWSERS)
    country, region, city, country_code, continent_code = rng.choice(_LOCATIONS)
    return {
        "browser": browser, "browser_version": version, "browser_language": rng.choice(("en", "de", "pt")),
        "os": rng.choice(_OPERATING_SYSTEMS),
        "location": {"type": "location", "country": country, "region": region, "city": city,
                     "country_code": country_code, "continent_code": continent_code},
    }  # fmt: skip


def random_attributes(rng: random.Random) -> dict[str, Any]:
    """Return custom attributes, one of every type that Intercom has; dates are in unix seconds."""
    return {
        "plan_tier": rng.choice(_TIERS),
        "seats": rng.randrange(1, 200),
        "score": rng.randrange(1000) / 8,
        "is_admin": chance(rng, 0.3),
        "renewal_at": 1_760_000_000 + rng.randrange(40_000_000),
    }


def random_company(rng: random.Random) -> dict[str, Any]:
    """Return the values of a new company, some of them unset."""
    word, number = rng.choice(_COMPANY_NAMES), rng.randrange(10**8)
    plan_id, plan_name = rng.choice(_PLANS)
    return {
        "name": f"{word} {rng.choice(_LEGAL_FORMS)}",
        "company_id": f"org_{number}",
        "plan": {"type": "plan", "id": plan_id, "name": plan_name} if chance(rng, 0.6) else None,
        "remote_created_at": 1_700_000_000_000 + rng.randrange(60_000_000) * 1000 if chance(rng, 0.7) else None,
        "size": rng.randrange(1, 5000) if chance(rng, 0.7) else None,
        "website": f"https://{word.lower()}.example" if chance(rng, 0.7) else None,
        "industry": rng.choice(_INDUSTRIES) if chance(rng, 0.7) else None,
        "monthly_spend": rng.randrange(10_000) if chance(rng, 0.7) else None,
        "custom_attributes": {"region": rng.choice(("emea", "apac", "amer")), "tickets": rng.randrange(50)},
    }
