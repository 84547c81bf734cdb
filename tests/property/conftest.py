"""How hard the properties are tried.

``ci`` (the default) tries the same examples every time: a red build is red for everybody, and stays
so until it is mended. ``pytest tests/property --hypothesis-profile=nightly`` draws new ones, takes
about an hour, and prints how to repeat what it finds. Found counter-examples become tests of their
own, in test_refactor_found.py.
"""

from hypothesis import HealthCheck, settings

# A busy machine is no failure; and an example here may be a whole database.
_ANY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)

settings.register_profile("ci", _ANY, derandomize=True, database=None)
settings.register_profile("nightly", _ANY)
settings.load_profile("ci")
