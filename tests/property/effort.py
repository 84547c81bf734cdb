"""How many examples a property is tried with, by profile."""

from hypothesis import settings

NIGHTLY = 50


def effort(examples: int, *, steps: int = 50) -> settings:
    """Return settings for `examples` examples in CI, and many times as many at night."""
    nightly = settings.get_current_profile_name() == "nightly"
    return settings(max_examples=examples * (NIGHTLY if nightly else 1), stateful_step_count=steps)
