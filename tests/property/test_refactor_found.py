"""Counter-examples that were found, each small: what the laws once did not hold for."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.support.dump import pg_dump
from tests.support.model.live import EMPTY, Live

REFUSED = "RK001"


class Found:
    """A database at version 10 with two natives: 1, a clinician, and 2, an admin."""

    def __init__(self, connection: psycopg.Connection, url: str) -> None:
        self.db, self.url, self.live = connection, url, Live(connection)
        self.db.execute(EMPTY)
        self.run(
            "INSERT INTO public.users (id, email, password_hash, role) VALUES"
            " (1, 'ada@clinic.invalid', 'h', 'clinician'), (2, 'bea@clinic.invalid', 'h', 'admin');"
            " SELECT setval('public.users_id_seq', 20), setval('public.patients_id_seq', 200)"
        )

    def run(self, text: str) -> None:
        self.db.execute(text.encode())

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.db.execute(query.encode()).fetchall()

    def one(self, query: str) -> Any:
        ((value,),) = self.rows(query)
        return value

    def patient(self, key: int, columns: str = "", values: str = "") -> None:
        self.run(
            f"INSERT INTO public.patients (id, name, user_id{columns})"
            f" VALUES ({key}, 'Pat {key}', 1{values})"
        )

    def up(self) -> None:
        self.live.turn("up")

    def down(self, **settings: str) -> None:
        self.live.turn("down", settings)

    def dump(self) -> str:
        return pg_dump(self.url)

    def assert_law_1(self) -> None:
        before = self.dump()
        self.up()
        self.down()
        assert self.dump() == before

    def assert_up_is_refused(self, message: str) -> None:
        before = self.dump()
        with pytest.raises(psycopg.Error, match=message) as refused:
            self.up()
        assert refused.value.sqlstate == REFUSED
        assert self.dump() == before


@pytest.fixture
def found(database_at_10: str, connect: Callable[..., psycopg.Connection]) -> Found:
    return Found(connect(database_at_10), database_at_10)


def test_who_signed_up_in_version_11_is_let_in_by_no_later_rollback(found: Found) -> None:
    found.up()
    found.run("INSERT INTO public.users (id, email, password_hash) VALUES (300, 'n@x', 'h')")
    found.down()
    found.assert_law_1()
    assert not found.one("SELECT is_active FROM public.users WHERE id = 300")


def test_who_version_10_let_in_stays_in(found: Found) -> None:
    found.up()
    found.run("INSERT INTO public.users (id, email, password_hash) VALUES (300, 'n@x', 'h')")
    found.down()
    found.run("UPDATE public.users SET is_active = true WHERE id = 300")
    found.assert_law_1()


def test_whose_login_was_kept_stays_in(found: Found) -> None:
    found.up()
    found.run("INSERT INTO public.users (id, email, password_hash) VALUES (300, 'n@x', 'h')")
    found.down(keep_logins="on")
    found.assert_law_1()


def test_who_was_softly_deleted_and_let_in_again_by_version_10_stays_in(found: Found) -> None:
    found.up()
    found.run("UPDATE public.users SET account_status = 'deleted' WHERE id = 1")
    found.down()
    found.run("UPDATE public.users SET is_active = true WHERE id = 1")
    found.assert_law_1()


def test_a_conflict_decided_for_the_archive_is_not_decided_again_by_another_rule(
    found: Found,
) -> None:
    found.patient(40, ", hypertension", ", 'yes'")
    found.up()
    found.run("UPDATE public.users SET hypertension = 'no' WHERE id = 40")
    found.down(on_conflict="archive")
    found.assert_law_1()


def test_a_natives_patient_keeps_its_name_when_the_email_changes(found: Found) -> None:
    found.up()
    found.run("UPDATE public.users SET bmi = 20 WHERE id = 1")
    found.down()
    found.run("UPDATE public.users SET email = 'new@clinic.invalid' WHERE id = 1")
    found.assert_law_1()


def test_an_edit_before_a_soft_deletion_comes_home_when_the_account_is_restored(
    found: Found,
) -> None:
    found.patient(40, ", bmi", ", 20")
    found.up()
    found.run("UPDATE public.users SET bmi = 30, account_status = 'deleted' WHERE id = 40")
    found.down()
    found.up()
    found.run("UPDATE public.users SET account_status = 'active' WHERE id = 40")
    found.down()
    assert found.one("SELECT bmi::text FROM public.patients") == "30.00"


def test_a_patient_id_that_a_native_had_is_not_given_again(found: Found) -> None:
    found.up()
    found.run(
        "INSERT INTO public.users (id, email, password_hash, bmi) VALUES (300, 'n@x', 'h', 20)"
    )
    found.down()
    assert found.one("SELECT id FROM public.patients") == 300
    found.run("DELETE FROM public.patients")
    found.up()
    found.run("UPDATE public.users SET bmi = 21 WHERE id = 300")
    found.down()
    assert found.one("SELECT id FROM public.patients") > 300


def test_a_patient_id_that_was_typed_in_is_not_given_to_another_person(found: Found) -> None:
    found.run("SELECT setval('public.users_id_seq', 300)")
    found.run("INSERT INTO public.users (id, email, password_hash) VALUES (250, 'n@x', 'h')")
    found.up()
    found.down()
    found.patient(250)
    found.up()
    found.down()
    found.run("DELETE FROM public.patients")
    found.up()
    found.run("UPDATE public.users SET bmi = 21 WHERE id = 250")
    found.down()
    assert found.one("SELECT id FROM public.patients") > 300


def test_sequences_that_were_set_back_go_forward_again(found: Found) -> None:
    found.patient(2)
    found.up()
    subject = found.one("SELECT target_id FROM archive.patients_map")
    found.run(f"DELETE FROM public.users WHERE id = {subject}")
    found.down()
    found.run("SELECT setval('public.users_id_seq', 2), setval('public.patients_id_seq', 1)")
    found.up()
    assert found.one("SELECT nextval('public.users_id_seq')") > subject


def test_after_down_neither_sequence_gives_an_id_that_the_other_table_has(found: Found) -> None:
    found.up()
    found.run("INSERT INTO public.assessments (user_id) VALUES (1), (2)")
    found.down()
    taken = [key for (key,) in found.rows("SELECT id FROM public.patients")]
    assert found.one("SELECT nextval('public.users_id_seq')") > max(taken)


def test_a_user_in_a_subjects_place_stops_up_with_a_sentence(found: Found) -> None:
    found.patient(2)
    found.up()
    subject = found.one("SELECT target_id FROM archive.patients_map")
    found.down()
    found.run(f"INSERT INTO public.users (id, email, password_hash) VALUES ({subject}, 'n@x', 'h')")
    found.assert_up_is_refused(f"id {subject}")


def test_an_assessment_in_a_withheld_ones_place_stops_up_with_a_sentence(found: Found) -> None:
    found.patient(40)
    found.run("INSERT INTO public.assessments (id, patient_id) VALUES (77, 40)")
    found.up()
    found.run("UPDATE public.users SET account_status = 'deleted' WHERE id = 40")
    found.down()
    found.run("INSERT INTO public.assessments (id) VALUES (77)")
    found.assert_up_is_refused("id 77")


def test_a_sequence_that_starts_far_above_every_id_is_no_obstacle(found: Found) -> None:
    found.run("ALTER SEQUENCE public.users_id_seq MINVALUE 1000 START 1000 RESTART")
    found.patient(40)
    found.assert_law_1()


@pytest.mark.parametrize("table", ["users", "patients", "assessments", "refresh_tokens"])
@pytest.mark.parametrize(
    "column",
    [
        "x boolean NOT NULL GENERATED ALWAYS AS (created_at > '2000-01-01+00') STORED",
        "x text NOT NULL DEFAULT 'x'",
    ],
)
def test_an_added_column_that_must_not_be_null_is_no_obstacle(
    found: Found, table: str, column: str
) -> None:
    found.run(f"ALTER TABLE public.{table} ADD COLUMN {column}")
    found.patient(40)
    found.patient(41)
    found.run("INSERT INTO public.assessments (patient_id) VALUES (40), (41)")
    found.up()
    found.run(
        "INSERT INTO public.refresh_tokens (user_id, token_hash, expires_at)"
        " VALUES (40, 't', now()), (41, 'u', now());"
        " UPDATE public.users SET account_status = 'deleted' WHERE id = 41"
    )
    if "DEFAULT" in column and table != "patients":
        found.run(f"ALTER TABLE public.{table} ALTER COLUMN x DROP NOT NULL")
        found.run(f"UPDATE public.{table} SET x = NULL")
    eleven = found.dump()
    found.down()
    found.up()
    assert found.dump() == eleven


def test_an_added_identity_column_that_cannot_be_given_back_stops_the_first_up(
    found: Found,
) -> None:
    found.run("ALTER TABLE public.users ADD COLUMN n integer GENERATED ALWAYS AS IDENTITY")
    found.assert_up_is_refused("GENERATED ALWAYS AS IDENTITY")


def test_an_archived_row_that_was_edited_by_hand_goes_by_the_rule(found: Found) -> None:
    found.patient(40, ", hypertension", ", 'yes'")
    found.up()
    found.run("UPDATE archive.patients SET hypertension = 'no' WHERE id = 40")
    found.down(on_conflict="archive")
    assert found.one("SELECT hypertension FROM public.patients") == "no"


@pytest.mark.parametrize("settings", [{}, {"keep_logins": "on"}])
def test_nobody_is_promoted_by_a_rollback(found: Found, settings: dict[str, str]) -> None:
    """The flag alone is not carried back, nor is the role alone: who had both is an admin in both.

    A role that was written is an edit of a column that both versions have (law 3), and gives
    nobody a right that they did not have in version 11 (law 10).
    """
    found.up()
    found.run(
        "INSERT INTO public.users (id, email, password_hash, role, is_admin) VALUES"
        " (300, 'flag@x', 'h', 'member', true), (301, 'role@x', 'h', 'admin', false),"
        " (302, 'both@x', 'h', 'admin', true);"
        "UPDATE public.users SET is_admin = true WHERE id = 1"
    )
    found.down(**settings)
    admins = found.rows("SELECT id, is_active FROM public.users WHERE role = 'admin' ORDER BY id")
    assert admins == [(2, True), (302, "keep_logins" in settings)]
    assert found.rows(
        "SELECT row_id, rule FROM archive.patients_decisions WHERE column_name = 'role' ORDER BY 1"
    ) == [
        ("1", "is_admin is not carried back"),
        ("300", "is_admin is not carried back"),
        ("301", "is_admin was taken away"),
    ]


def test_a_check_that_subjects_do_not_meet_stops_up_with_a_sentence(found: Found) -> None:
    found.run("ALTER TABLE public.users ADD CONSTRAINT known CHECK (role <> 'member')")
    found.patient(40)
    found.assert_up_is_refused("known")


def test_a_placeholder_that_a_subject_claimed_stops_up_with_a_sentence(found: Found) -> None:
    found.patient(40)
    found.patient(41)
    found.up()
    found.run("UPDATE public.users SET email = 'me@x' WHERE id = 40")
    found.run("UPDATE public.users SET email = 'patient-40@unclaimed.invalid' WHERE id = 41")
    found.down()
    found.run("UPDATE public.users SET email = 'me@x' WHERE id = 1")
    found.assert_up_is_refused("email")


def test_a_check_that_an_edit_does_not_meet_stops_down_with_a_sentence(found: Found) -> None:
    found.run("ALTER TABLE public.patients ADD CONSTRAINT slim CHECK (bmi < 30)")
    found.patient(40)
    found.up()
    found.run("UPDATE public.users SET bmi = 35.5 WHERE id = 40")
    eleven = found.dump()
    with pytest.raises(psycopg.Error, match="constraint slim of patients") as refused:
        found.down()
    assert refused.value.sqlstate == REFUSED
    assert not refused.value.diag.message_detail
    assert found.dump() == eleven


def test_the_first_id_that_a_turn_gives_out_counts_for_both_sequences(found: Found) -> None:
    found.run(EMPTY.decode())
    found.run(
        "INSERT INTO public.users (id, email, password_hash) VALUES (-2, 'n@x', 'h');"
        "INSERT INTO public.patients (id, name, user_id) VALUES (-2, 'Pat', -2);"
        "DELETE FROM public.patients"
    )
    found.up()
    found.run("UPDATE public.users SET bmi = 20.5")
    found.down()
    assert found.one("SELECT id FROM public.patients") == 1
    assert found.one("SELECT nextval('public.users_id_seq')") == 2


def test_an_id_that_was_typed_in_again_gives_nobody_what_is_kept_of_another(found: Found) -> None:
    found.patient(40)
    found.up()
    found.run(
        "UPDATE public.users SET email = 'pat@x', password_hash = 'p', is_active = true,"
        " phone = 'hers' WHERE id = 40;"
        " UPDATE public.users SET phone = 'his', bmi = 20.5 WHERE id = 2"
    )
    found.down()
    found.run(
        "DELETE FROM public.patients WHERE id = 40; DELETE FROM public.users WHERE id = 2;"
        "INSERT INTO public.users (id, email, password_hash) VALUES (2, 'new@x', 'n');"
        "INSERT INTO public.patients (id, name, user_id) VALUES (40, 'Somebody Else', 1)"
    )
    found.assert_up_is_refused("somebody else by all else: patients 40, users 2; .*reused_ids")
    found.run(
        "UPDATE public.patients SET id = 4040; UPDATE public.users SET id = 2222 WHERE id = 2"
    )
    found.up()
    assert found.rows("SELECT phone FROM public.users WHERE id IN (2222, 4040)") == [(None,)] * 2
