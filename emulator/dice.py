"""Chance, by the share of cases in which something happens."""

import random


def happens(rng: random.Random, share: float) -> bool:
    """Throw the dice once: True in this share of cases, 0 to 1."""
    return rng.random() < share
