"""How hard a property of a whole database is tried, by profile."""

from hypothesis import Phase, settings

NIGHTLY = 50
# Minutes, where an example is a database: a red build says at once what it found, not the smallest
# of its kind. `--hypothesis-profile=nightly -k NAME` finds that.
SLOW = {Phase.shrink, Phase.explain}


def effort(examples: int, *, steps: int = 50) -> settings:
    """Return settings for `examples` examples in CI, and many times as many at night."""
    if settings.get_current_profile_name() == "nightly":
        return settings(max_examples=examples * NIGHTLY, stateful_step_count=steps)
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        phases=[phase for phase in Phase if phase not in SLOW],
    )
