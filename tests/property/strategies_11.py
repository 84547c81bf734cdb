"""What the application of version 11 may do: texts that do the same where the ids are the same."""

from collections.abc import Callable

from hypothesis import strategies as st

from tests.property.strategies import ACCOUNT, PATIENT, PROFILE, SELF_REPORT, some_of
from tests.property.strategies_online import insert, set_to
from tests.support.model.columns import Row

_Kind = Callable[[], str]
ONE_USER = (
    "(SELECT u.id FROM public.users AS u WHERE u.email <> 'sixtyone@clinic.invalid'"
    " ORDER BY u.id OFFSET {} % 20 LIMIT 1)"
)
ONE_ASSESSMENT = "(SELECT a.id FROM public.assessments AS a ORDER BY a.id OFFSET {} LIMIT 1)"
AT: Row = {"created_at": "2023-01-01Z", "updated_at": "2023-01-01Z"}


@st.composite
def writes(draw: st.DrawFn) -> str:
    """Return a write of version 11."""
    number = draw(st.integers(0, 19))
    user = ONE_USER.format(number)
    other = ONE_USER.format(draw(st.integers(0, 19)))
    assessment = ONE_ASSESSMENT.format(number)
    kinds: list[_Kind] = [
        lambda: f"UPDATE public.users SET {set_to(draw(some_of(PROFILE)))} WHERE id = {user}",
        lambda: f"UPDATE public.users SET {set_to(draw(some_of(ACCOUNT)))} WHERE id = {user}",
        lambda: f"UPDATE public.users SET deleted_at = '2023-01-01Z' WHERE id = {user}",
        lambda: (
            f"UPDATE public.users SET account_status = 'active', deleted_at = NULL"
            f" WHERE id = {user}"
        ),
        lambda: f"UPDATE public.users SET created_by = {other} WHERE id = {user}",
        lambda: f"DELETE FROM public.users WHERE id = {user}",
        lambda: f"UPDATE public.users SET id = id + 5000 WHERE id = {user}",
        lambda: insert(
            "users",
            {"password_hash": "h", **AT} | draw(some_of(PROFILE)),
            email="'new' || (SELECT count(*) FROM public.users)",
            created_by=user,
        ),
        lambda: insert("assessments", {**AT} | draw(some_of(SELF_REPORT)), user_id=user),
        lambda: f"UPDATE public.assessments SET user_id = {user} WHERE id = {assessment}",
        lambda: (
            f"UPDATE public.assessments SET {set_to(draw(some_of(SELF_REPORT)))}"
            f" WHERE id = {assessment}"
        ),
        lambda: f"DELETE FROM public.assessments WHERE id = {assessment}",
        lambda: "TRUNCATE public.assessments",
        lambda: f"UPDATE archive.patients SET {set_to(draw(some_of(PATIENT)))} WHERE id = {number}",
    ]
    weights = [4, 3, 3, 1, 2, 3, 1, 4, 4, 3, 4, 2, 1, 1]
    drawn = st.sampled_from(
        [k for k, weight in zip(kinds, weights, strict=True) for _ in range(weight)]
    )
    return draw(drawn)().replace("%%", "%")
