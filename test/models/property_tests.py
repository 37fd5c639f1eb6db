"""
How many examples property tests draw, and which.

Normally the same ones each time, on every machine and in every order of tests. With the environment variable
NPUC_NIGHTLY set (to anything but 0), NIGHTLY_FACTOR times as many, fresh ones. Tests say `@examples(40)` where
Hypothesis draws, and `for seed in seeds(12)` where a generator takes a seed; conftest.py loads the profile.
"""

from __future__ import annotations

import os
import secrets

from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

NIGHTLY = os.environ.get("NPUC_NIGHTLY", "0") not in ("", "0")
NIGHTLY_FACTOR = 50

_first = secrets.randbelow(10**9) if NIGHTLY else 0


def examples(count: int, **options: object) -> settings:
    """The settings of a property test that normally draws so many examples; `options` are Hypothesis' own."""
    return settings(max_examples=count * NIGHTLY_FACTOR if NIGHTLY else count, **options)  # type: ignore[arg-type]


def seeds(count: int) -> range:
    """Seeds from 0, or in a nightly run many more, from a number that differs from run to run."""
    return range(_first, _first + count * NIGHTLY_FACTOR) if NIGHTLY else range(count)


def load_profile() -> None:
    """What holds for every property test. No database: what an earlier run left must not change what is drawn."""
    settings.register_profile(
        "npuc",
        examples(100),
        derandomize=not NIGHTLY,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    settings.load_profile("npuc")
    # Hypothesis mixes numbers that it reads in the loaded modules into what it draws, so that a selection of tests, or
    # the path of the checkout, would change the examples.
    providers._get_local_constants = lambda: providers.Constants()  # type: ignore[attr-defined]
