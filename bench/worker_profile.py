"""Profiles the worker's CPU time: one solo worker drains a full inbox under cProfile."""

import io
import pstats
import sys
import tempfile
from pathlib import Path

from bench.bodies import Plan
from bench.contenders import Product
from bench.measure import session
from bench.rounds import Clock
from bench.servers import Postgres, Valkey

# Lines of the profile; each function below them takes less than a hundredth.
_LINES = 45
# Enough to make the time for imports negligible.
_NOTIFICATIONS = 20_000
_CONTACTS = 4_000


def profile_worker(postgres: Postgres, valkey: Valkey, directory: Path) -> str:
    """Return the functions with the most time while one burst is drained; cProfile itself doubles the total."""
    product = Product(postgres, valkey, "profiled")
    product.prepare(directory)
    with tempfile.TemporaryDirectory() as outcome:
        file = Path(outcome) / "worker.pstats"
        # The solo pool drains in the process that cProfile measures; forked children would not be measured.
        worker = product.commands["worker"].replace("celery ", f"{sys.executable} -m cProfile -o {file} -m celery ", 1)
        product.commands["worker"] = f"{worker} --pool solo"
        clock = Clock()
        with session(product, postgres, valkey) as running:
            running.warm_up(clock.next())
            start = clock.next()
            running.burst(Plan("profiled", _NOTIFICATIONS, _CONTACTS, _CONTACTS, start, seed=start))
        text = io.StringIO()
        pstats.Stats(str(file), stream=text).strip_dirs().sort_stats("tottime").print_stats(_LINES)
    return text.getvalue()
