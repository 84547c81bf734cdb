"""The drill's own copy of the rules: the cases of design.md."""

from typing import Any

import pytest

from refactorkit.commands.drill import rules
from refactorkit.mapping.load import load_mapping
from tests.support.chain import SQL

PATIENT: dict[str, Any] = {
    "id": "7", "name": "Ann Lee", "age": "50", "menopause_status": "postmenopausal",
    "years_menopause": "60", "bmi": "1.10", "bp_systolic": None, "bp_diastolic": None,
    "activity": "", "smoking": "former", "hypertension": "yes", "heart_disease": "no",
    "chol": "1", "ldl": None, "hdl": None, "triglycerides": None, "created_at": "infinity",
    "updated_at": "2020-01-01 00:00:00+00", "family_history": None, "phys_activity": "t",
    "user_id": "1",
}  # fmt: skip


def user(**values: str | None) -> dict[str, str | None]:
    return {"id": "7", **rules.subject(PATIENT), **values}


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("Ann Lee", "Ann", "Lee"),
        ("Mary Ann Lee", "Mary Ann", "Lee"),
        ("Solo", "Solo", None),
        ("", "", None),
        (" ", "", ""),
        ("x ", "x", ""),
        ("no\u00a0break", "no\u00a0break", None),
        ("tab\there", "tab\there", None),
    ],
)
def test_a_name_is_split_at_the_last_space_and_joined_again(
    name: str, first: str, last: str | None
) -> None:
    made = rules.forward(PATIENT | {"name": name})
    assert (made["first_name"], made["last_name"]) == (first, last)
    assert rules.joined(made) == name


def test_both_names_cleared_give_an_empty_name() -> None:
    assert rules.joined({"first_name": None, "last_name": None}) == ""
    assert rules.joined({"first_name": "", "last_name": ""}) == " "


def test_values_without_an_image_become_null() -> None:
    made = rules.subject(PATIENT)
    assert made["hypertension"] is None
    assert made["years_menopause"] is None
    assert made["menopause_status"] == "post"
    assert made["family_history_diabetes"] == "f"
    assert made["email"] == "patient-7@unclaimed.invalid"
    assert (made["consent_analytics"], made["is_active"]) == ("f", "f")


def test_what_nobody_edited_comes_back_raw_and_a_login_is_no_edit() -> None:
    now = user(last_login_at="now", updated_at="2021-01-01 00:00:00+00", email="a@b.invalid")
    assert rules.patient_after(PATIENT, user(), now, is_native=False) == PATIENT


def test_an_edit_comes_home_with_its_time_and_leaves_the_rest_raw() -> None:
    now = user(menopause_status="pre", updated_at="2021-01-01 00:00:00+00", last_name=None)
    after = rules.patient_after(PATIENT, user(), now, is_native=False)
    assert after == PATIENT | {
        "menopause_status": "premenopausal",
        "name": "Ann",
        "updated_at": "2021-01-01 00:00:00+00",
    }


def test_a_name_alone_is_no_profile_and_family_history_is_one() -> None:
    nothing = {**rules.NATIVE_ADDS, "first_name": "x"}
    assert not rules.has_profile(nothing)
    assert rules.has_profile({**nothing, "family_history_diabetes": "t"})
    assert rules.has_profile({**nothing, "activity": ""})


def test_rights_are_taken_back_and_never_given() -> None:
    def after(**values: str | None) -> dict[str, str | None]:
        row = user(is_active="t", created_by=None, **values)
        return rules.native_after(row, was_there=True, is_subject=lambda _: False)

    assert after(role="admin", is_admin="f")["role"] == "clinician"
    assert after(role="clinician", is_admin="t")["role"] == "clinician"
    assert after(role="admin", is_admin="t")["role"] == "admin"


def test_accounts_of_version_11_and_deleted_ones_come_back_inactive() -> None:
    def active(*, was_there: bool, **values: str | None) -> str | None:
        row = user(is_active="t", created_by="9", **values)
        after = rules.native_after(row, was_there=was_there, is_subject=lambda key: key == "9")
        assert after["created_by"] is None
        return after["is_active"]

    assert active(was_there=True) == "t"
    assert active(was_there=False) == "f"
    assert active(was_there=True, account_status="deleted") == "f"
    assert active(was_there=True, deleted_at="now") == "f"


def test_a_native_without_a_name_is_called_by_the_email() -> None:
    row = user(first_name=None, last_name=None, email="n@x.invalid", menopause_status="peri")
    shown = rules.patient_of_native(row)
    assert (shown["name"], shown["user_id"]) == ("n@x.invalid", "7")
    assert shown["menopause_status"] == "perimenopausal"
    assert shown["age"] is None


def test_the_rules_and_the_mapping_name_the_same_columns_and_values() -> None:
    mapping = load_mapping(SQL.parent / "archive" / "patients.toml")
    maps = rules.ValueMaps.of(mapping)
    assert maps.forward == rules.DESIGN_MAPS.forward
    assert maps.back == rules.DESIGN_MAPS.back
    assert set(rules.NATIVE_ADDS) == set(mapping.target.adds)
    assert set(rules.ASSESSMENT_ADDS) == set(mapping.link[0].adds)
