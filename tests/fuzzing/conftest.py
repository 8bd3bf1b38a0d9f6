"""How much is tried: little by default, ten thousand examples of each test with --hypothesis-profile=many."""

from hypothesis import HealthCheck, settings

UNCHECKED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile(
    "few", max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=UNCHECKED
)
settings.register_profile(
    "many",
    max_examples=10_000,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=UNCHECKED,
)
settings.load_profile("few")
