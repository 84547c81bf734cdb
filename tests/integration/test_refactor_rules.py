"""The rules of 0011, one a test: what becomes of edits, natives, rights, owners and deletions."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.support.dump import pg_dump
from tests.support.refactor import turn


@pytest.fixture
def db(database_at_10: str, connect: Callable[..., psycopg.Connection]) -> psycopg.Connection:
    connection = connect(database_at_10)
    connection.execute("TRUNCATE public.patients, public.assessments, public.users CASCADE")
    connection.execute(
        "INSERT INTO public.users (id, email, password_hash, role) VALUES"
        " (1, 'ada@clinic.invalid', 'h1', 'clinician'), (2, 'bea@clinic.invalid', 'h2', 'admin')"
    )
    connection.execute("SELECT setval('public.users_id_seq', 20)")
    connection.execute("SELECT setval('public.patients_id_seq', 200)")
    return connection


def patient(db: psycopg.Connection, key: int, **values: Any) -> int:
    row = {"id": key, "name": f"Pat Number{key}", "user_id": 1} | values
    columns = psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, row))
    marks = psycopg.sql.SQL(", ").join(psycopg.sql.Placeholder() * len(row))
    query = psycopg.sql.SQL("INSERT INTO public.patients ({}) VALUES ({})").format(columns, marks)
    db.execute(query, list(row.values()))
    return key


def one(db: psycopg.Connection, query: str, *parameters: Any) -> Any:
    """Return the only row (its only value where it has one) of a query."""
    (row,) = db.execute(query.encode(), parameters).fetchall()
    return row[0] if len(row) == 1 else row


def rows(db: psycopg.Connection, query: str) -> list[tuple[Any, ...]]:
    return db.execute(query.encode()).fetchall()


def url(db: psycopg.Connection) -> str:
    return f"{db.info.dsn} password={db.info.password}"


def subject_of(db: psycopg.Connection, key: int) -> int:
    return int(one(db, "SELECT target_id FROM archive.patients_map WHERE source_id = %s", key))


def test_a_patient_keeps_its_id_where_no_user_can_have_had_it(db: psycopg.Connection) -> None:
    for key in (2, 20, 21, 150, -3, 0):
        patient(db, key)
    turn(db, "up")
    pairs = dict(rows(db, "SELECT source_id, target_id FROM archive.patients_map"))
    assert {21: 21, 150: 150}.items() <= pairs.items()
    assert sorted(pairs[key] for key in (2, 20, -3, 0)) == [201, 202, 203, 204]


def test_a_subject_holds_what_the_design_says_and_nobody_can_log_in(
    db: psycopg.Connection,
) -> None:
    patient(
        db,
        40,
        name="Mary Ann Lee",
        age=51,
        menopause_status="postmenopausal",
        years_menopause=60,
        smoking="former",
        hypertension="yes",
        heart_disease="no",
        bmi="23.40",
        family_history=None,
    )
    turn(db, "up")
    assert one(
        db,
        "SELECT email, password_hash, role, is_active, created_by, first_name, last_name,"
        " menopause_status, years_menopause, smoking_status, hypertension, heart_disease,"
        " bmi::text, family_history_diabetes, consent_personal_data, consent_analytics,"
        " consent_updated_at, is_admin, account_status FROM public.users WHERE id = 40",
    ) == (
        "patient-40@unclaimed.invalid", "!", "member", False, None, "Mary Ann", "Lee",
        "post", None, "former", None, "no", "23.40", False, False, False, None, False, "active",
    )  # fmt: skip
    assert rows(
        db, "SELECT id, is_admin, consent_personal_data FROM public.users WHERE id < 3"
    ) == [
        (1, False, False),
        (2, True, False),
    ]


def test_an_edit_comes_home_and_what_nobody_edited_comes_back_raw(db: psycopg.Connection) -> None:
    patient(
        db, 40, name="Mary Ann Lee", menopause_status="unknown", hypertension="yes",
        years_menopause=60, family_history=None, age=50, bmi="20.10",
    )  # fmt: skip
    patient(db, 7, name="Solo", menopause_status="pre", smoking="never")
    turn(db, "up")
    db.execute("UPDATE public.users SET last_name = 'Young', bmi = 21.5 WHERE id = 40")
    db.execute(
        "UPDATE public.users SET menopause_status = 'post', family_history_diabetes = true"
        " WHERE id = %s",
        [subject_of(db, 7)],
    )
    turn(db, "down")
    query = (
        "SELECT name, menopause_status, hypertension, years_menopause, family_history, age,"
        " bmi::text, smoking FROM public.patients WHERE id = %s"
    )
    assert one(db, query, 40) == (
        "Mary Ann Young", "unknown", "yes", 60, None, 50, "21.50", None
    )  # fmt: skip
    assert one(db, query, 7) == ("Solo", "postmenopausal", None, None, True, None, None, "never")


def test_an_edit_that_was_edited_back_is_no_edit(db: psycopg.Connection) -> None:
    patient(db, 40, menopause_status="pre", updated_at="2020-01-01 00:00:00+00")
    before = pg_dump(url(db))
    turn(db, "up")
    db.execute("UPDATE public.users SET menopause_status = 'post', first_name = 'X' WHERE id = 40")
    db.execute("UPDATE public.users SET menopause_status = 'pre', first_name = 'Pat' WHERE id = 40")
    turn(db, "down")
    assert pg_dump(url(db)) == before


def test_a_login_is_no_edit_of_the_patient_but_a_mapped_column_is(db: psycopg.Connection) -> None:
    for key in (40, 41, 42):
        patient(db, key, updated_at="2020-01-01 00:00:00+00")
    turn(db, "up")
    db.execute("UPDATE public.users SET last_login_at = now(), updated_at = now() WHERE id = 40")
    db.execute("UPDATE public.users SET chol = 1, updated_at = '2022-02-02 00:00Z' WHERE id = 41")
    db.execute("UPDATE public.users SET chol = 1 WHERE id = 42")
    turn(db, "down")
    years = rows(db, "SELECT extract(year FROM updated_at)::int FROM public.patients ORDER BY id")
    assert years[:2] == [(2020,), (2022,)]
    assert years[2][0] > 2022


def test_names_are_one_unit_joined_by_one_space(db: psycopg.Connection) -> None:
    edits = {
        40: ("Ann", "Lee", "Ann Lee"),
        41: ("Ann", None, "Ann"),
        42: (None, None, ""),
        43: (None, "Lee", "Lee"),
        44: ("", "", " "),
    }
    for key in edits:
        patient(db, key)
    turn(db, "up")
    for key, (first, last, _) in edits.items():
        db.execute(
            "UPDATE public.users SET first_name = %s, last_name = %s WHERE id = %s",
            [first, last, key],
        )
    turn(db, "down")
    assert dict(rows(db, "SELECT id, name FROM public.patients")) == {
        key: name for key, (_, _, name) in edits.items()
    }


@pytest.mark.parametrize(("rule", "wins"), [("", "no"), ("live", "no"), ("archive", "yes")])
def test_a_raw_value_without_an_image_that_was_replaced_is_decided_and_both_are_kept(
    db: psycopg.Connection, rule: str, wins: str
) -> None:
    patient(db, 40, hypertension="yes")
    turn(db, "up")
    db.execute("UPDATE public.users SET hypertension = 'no' WHERE id = 40")
    turn(db, "down", {"on_conflict": rule})
    assert one(db, "SELECT hypertension FROM public.patients") == wins
    loses = {"yes": "no", "no": "yes"}[wins]
    assert rows(
        db,
        "SELECT row_id, column_name, kept_value, lost_value FROM archive.patients_decisions"
        " WHERE rule LIKE 'replaced%'",
    ) == [("40", "hypertension", wins, loses)]
    turn(db, "up")
    assert one(db, "SELECT hypertension FROM public.users WHERE id = 40") == "no"


def test_natives_with_a_profile_or_assessments_become_patients_who_own_themselves(
    db: psycopg.Connection,
) -> None:
    patient(db, 40)
    turn(db, "up")
    db.execute(
        "INSERT INTO public.users (email, password_hash, first_name, bmi, created_by) VALUES"
        " ('profile@x.invalid', 'h', NULL, 20, 40), ('name@x.invalid', 'h', 'Only', NULL, 1),"
        " ('assessed@x.invalid', 'h', 'Ass', NULL, NULL),"
        " ('family@x.invalid', 'h', 'F', NULL, NULL)"
    )
    db.execute(
        "UPDATE public.users SET family_history_diabetes = true WHERE email = 'family@x.invalid'"
    )
    db.execute("UPDATE public.users SET smoking_status = 'never' WHERE id = 1")
    db.execute(
        "INSERT INTO public.assessments (user_id) SELECT id FROM public.users"
        " WHERE email = 'assessed@x.invalid'"
    )
    turn(db, "down")
    ids = dict(rows(db, "SELECT email, id FROM public.users"))
    shown = {
        row[0]: row[1:]
        for row in rows(db, "SELECT user_id, name, id, smoking FROM public.patients WHERE id <> 40")
    }
    assert shown == {
        # An id that a patient may have had is not used again: the clinician gets a new one.
        1: ("ada@clinic.invalid", 205, "never"),
        ids["profile@x.invalid"]: ("profile@x.invalid", 201, None),
        ids["assessed@x.invalid"]: ("Ass", 203, None),
        ids["family@x.invalid"]: ("F", 204, None),
    }
    assert rows(
        db,
        "SELECT a.patient_id FROM public.assessments AS a",
    ) == [(203,)]
    assert one(db, "SELECT created_by FROM public.users WHERE email = 'profile@x.invalid'") is None
    turn(db, "up")
    assert one(db, "SELECT created_by FROM public.users WHERE email = 'profile@x.invalid'") == 40
    assert one(db, "SELECT first_name, smoking_status FROM public.users WHERE id = 1") == (
        None,
        "never",
    )
    assert one(db, "SELECT count(*) FROM public.users") == 7


def test_an_edit_in_version_10_of_a_natives_patient_reaches_the_native(
    db: psycopg.Connection,
) -> None:
    turn(db, "up")
    db.execute("UPDATE public.users SET bmi = 20 WHERE id = 1")
    db.execute("INSERT INTO public.assessments (user_id) VALUES (2)")
    turn(db, "down")
    db.execute("UPDATE public.patients SET bmi = 25, smoking = 'current' WHERE user_id = 1")
    db.execute("UPDATE public.patients SET chol = 111 WHERE user_id = 2")
    turn(db, "up")
    assert one(db, "SELECT bmi::text, smoking_status, chol FROM public.users WHERE id = 1") == (
        "25.00", "current", None,
    )  # fmt: skip
    assert one(db, "SELECT chol, first_name, is_admin FROM public.users WHERE id = 2") == (
        111, None, True,
    )  # fmt: skip


@pytest.mark.parametrize("keep", [False, True])
def test_accounts_made_in_version_11_come_back_inactive_unless_logins_are_kept(
    db: psycopg.Connection, keep: bool
) -> None:
    turn(db, "up")
    # Also with an id below those that were there: what decides is who was there.
    db.execute(
        "INSERT INTO public.users (id, email, password_hash) VALUES (10, 'n@x.invalid', 'h')"
    )
    turn(db, "down", {"keep_logins": "on"} if keep else {})
    state = "SELECT role, is_active FROM public.users WHERE id = 10"
    assert one(db, state) == ("member", keep)
    assert one(db, "SELECT bool_and(is_active) FROM public.users WHERE id < 3")
    listed = rows(
        db, "SELECT row_id FROM archive.patients_decisions WHERE rule = 'made in version 11'"
    )
    assert listed == ([] if keep else [("10",)])
    turn(db, "up")
    assert one(db, state) == ("member", True)


def test_rights_are_taken_back_and_never_given(db: psycopg.Connection) -> None:
    db.execute(
        "INSERT INTO public.users (id, email, password_hash, role) VALUES"
        " (3, 'c@x.invalid', 'h', 'admin')"
    )
    turn(db, "up")
    db.execute("UPDATE public.users SET is_admin = false WHERE id = 2")
    db.execute("UPDATE public.users SET is_admin = true WHERE id = 1")
    turn(db, "down")
    roles = "SELECT id, role FROM public.users ORDER BY id"
    assert rows(db, roles) == [(1, "clinician"), (2, "clinician"), (3, "admin")]
    db.execute("UPDATE public.users SET role = 'clinician' WHERE id = 3")
    turn(db, "up")
    assert rows(db, "SELECT id, role, is_admin FROM public.users ORDER BY id") == [
        (1, "clinician", True),
        (2, "admin", False),
        (3, "clinician", False),
    ]


def test_soft_deletion_is_withheld_and_given_back_soft_deleted(db: psycopg.Connection) -> None:
    for key in (5, 40, 41):
        patient(db, key, bmi=20)
        db.execute("INSERT INTO public.assessments (patient_id, risk_score) VALUES (%s, 1)", [key])
    turn(db, "up")
    gone = subject_of(db, 5)
    db.execute("UPDATE public.users SET account_status = 'deleted', bmi = 30 WHERE id = %s", [gone])
    db.execute("UPDATE public.users SET deleted_at = now() WHERE id IN (40, 1)")
    eleven = pg_dump(url(db))
    turn(db, "down")
    assert rows(db, "SELECT id FROM public.patients") == [(41,)]
    assert rows(db, "SELECT patient_id FROM public.assessments") == [(41,)]
    assert rows(db, "SELECT id, is_active FROM public.users ORDER BY id") == [(1, False), (2, True)]
    turn(db, "up")
    assert pg_dump(url(db)) == eleven


def test_a_subject_deleted_in_version_11_stays_away_and_its_patient_is_kept(
    db: psycopg.Connection,
) -> None:
    patient(db, 40)
    patient(db, 41)
    turn(db, "up")
    db.execute("DELETE FROM public.users WHERE id = 40")
    turn(db, "down")
    assert rows(db, "SELECT id FROM public.patients") == [(41,)]
    kept = "SELECT id, refactorkit_reason FROM archive.patients_withheld_patients"
    assert rows(db, kept) == [(40, "hard")]
    turn(db, "up")
    assert rows(db, "SELECT id FROM archive.patients") == [(41,)]
    assert rows(db, kept) == [(40, "hard")]


def test_a_patient_deleted_in_version_10_does_not_return_and_what_was_kept_stays(
    db: psycopg.Connection,
) -> None:
    patient(db, 40)
    turn(db, "up")
    db.execute("UPDATE public.users SET phone = '1', bmi = 20 WHERE id IN (40, 1)")
    db.execute(
        "INSERT INTO public.notification_queue (user_id, notification_type, subject, body,"
        " scheduled_for) VALUES (40, 'educational', 's', 'b', now()),"
        " (1, 'educational', 's', 'b', now())"
    )
    turn(db, "down")
    db.execute("DELETE FROM public.patients")
    turn(db, "up")
    assert rows(db, "SELECT id, phone, bmi::text FROM public.users ORDER BY id") == [
        (1, "1", None),
        (2, None, None),
    ]
    kept = "SELECT phone FROM archive.patients_kept_users WHERE id = 40"
    assert rows(db, kept) == [("1",)]
    assert rows(db, "SELECT user_id FROM public.notification_queue") == [(1,)]
    assert rows(db, "SELECT user_id FROM archive.patients_kept_notification_queue") == [(40,)]


def test_a_missing_owner_needs_a_custodian(db: psycopg.Connection) -> None:
    db.execute(
        "INSERT INTO public.users (id, email, password_hash) VALUES (3, 'gone@x.invalid', 'h')"
    )
    for key, owner in ((40, 3), (41, 1)):
        patient(db, key, user_id=owner)
    turn(db, "up")
    db.execute("DELETE FROM public.users WHERE id = 3")
    for settings in ({}, {"custodian": ""}, {"custodian": "nobody@x.invalid"},
                     {"custodian": "patient-41@unclaimed.invalid"}):  # fmt: skip
        with pytest.raises(psycopg.Error) as refused:
            turn(db, "down", settings)
        assert refused.value.sqlstate == "RK001"
    with pytest.raises(psycopg.Error, match=r"the owner of 1 patients is gone \(id 40\)"):
        turn(db, "down")
    turn(db, "down", {"custodian": "bea@clinic.invalid"})
    assert dict(rows(db, "SELECT id, user_id FROM public.patients")) == {40: 2, 41: 1}
    decision = "SELECT row_id, kept_value, lost_value FROM archive.patients_decisions"
    assert rows(db, decision) == [("40", "2", "3")]


def test_an_email_taken_meanwhile_stays_with_the_living(db: psycopg.Connection) -> None:
    patient(db, 40)
    turn(db, "up")
    db.execute("UPDATE public.users SET email = 'me@x.invalid', is_active = true WHERE id = 40")
    turn(db, "down")
    db.execute("INSERT INTO public.users (email, password_hash) VALUES ('me@x.invalid', 'h')")
    turn(db, "up")
    assert one(db, "SELECT email, is_active FROM public.users WHERE id = 40") == (
        "patient-40@unclaimed.invalid",
        False,
    )
    assert rows(db, "SELECT row_id, lost_value FROM archive.patients_decisions") == [
        ("40", "me@x.invalid")
    ]


def test_assessments_follow_their_person_where_ids_collide(db: psycopg.Connection) -> None:
    for key in (1, 2, 20, 30, 40):
        patient(db, key)
        db.execute("INSERT INTO public.assessments (patient_id, notes_was) VALUES (%s, 1)".replace(
            "notes_was", "risk_score"), [key])  # fmt: skip
    db.execute("INSERT INTO public.assessments (patient_id, risk_score) VALUES (NULL, 2)")
    before = pg_dump(url(db))
    turn(db, "up")
    assert rows(
        db,
        "SELECT m.source_id FROM public.assessments AS a"
        " LEFT JOIN archive.patients_map AS m ON m.target_id = a.user_id ORDER BY a.id",
    ) == [(1,), (2,), (20,), (30,), (40,), (None,)]
    assert one(
        db, "SELECT bool_and(source = 'clinic' AND NOT is_self_reported) FROM public.assessments"
    )
    turn(db, "down")
    assert pg_dump(url(db)) == before


def test_a_native_and_a_patient_of_the_same_id_do_not_get_each_others_assessments(
    db: psycopg.Connection,
) -> None:
    patient(db, 2)
    db.execute("INSERT INTO public.assessments (patient_id, risk_score) VALUES (2, 10)")
    turn(db, "up")
    db.execute("INSERT INTO public.assessments (user_id, risk_score) VALUES (2, 20)")
    turn(db, "down")
    native = one(db, "SELECT id FROM public.patients WHERE user_id = 2")
    assert native != 2
    assert rows(db, "SELECT patient_id, risk_score FROM public.assessments ORDER BY 2") == [
        (2, 10),
        (native, 20),
    ]


def test_everything_that_version_11_wrote_comes_back_with_the_next_up(
    db: psycopg.Connection,
) -> None:
    for key in (2, 40, 41, 42):
        patient(db, key, bmi=20, hypertension="yes")
        db.execute("INSERT INTO public.assessments (patient_id) VALUES (%s)", [key])
    db.execute("INSERT INTO public.clinics (name) VALUES ('C')")
    turn(db, "up")
    collided = subject_of(db, 2)
    db.execute(
        "UPDATE public.users SET email = 'claimed@x.invalid', password_hash = 'secret',"
        " is_active = true, consent_personal_data = true, consent_updated_at = now(), phone = '1',"
        " date_of_birth = '1970-01-01', bmi = 30, hypertension = 'no', last_name = 'New',"
        " created_by = 40 WHERE id = %s",
        [collided],
    )
    db.execute("UPDATE public.users SET first_name = 'A', last_name = 'B C' WHERE id = 41")
    for table, columns, values in (
        ("refresh_tokens", "user_id, token_hash, expires_at", f"{collided}, 't', now()"),
        ("refresh_tokens", "user_id, token_hash, expires_at", "1, 'u', now()"),
        ("user_clinics", "user_id, clinic_id", f"{collided}, 1"),
        ("user_clinics", "user_id, clinic_id", "2, 1"),
        ("users", "email, password_hash, bmi, created_by", "'n@x.invalid', 'h', 20, 40"),
        ("assessments", "user_id, notes", f"{collided}, 'note'"),
        ("assessments", "user_id, notes", "1, 'native'"),
        (
            "notification_queue",
            "user_id, notification_type, subject, body, scheduled_for",
            f"{collided}, 'risk_alert', 's', 'b', now()",
        ),
    ):
        db.execute(f"INSERT INTO public.{table} ({columns}) VALUES ({values})".encode())
    db.execute("UPDATE public.assessments SET source = 'manual' WHERE user_id = 40")
    db.execute("UPDATE public.users SET address = 'street', first_name = 'Ada' WHERE id = 1")
    db.execute("DELETE FROM public.users WHERE id = 42")
    eleven = pg_dump(url(db))
    for _ in range(3):
        turn(db, "down")
        ten = pg_dump(url(db))
        turn(db, "up")
        assert pg_dump(url(db)) == eleven
    turn(db, "down")
    assert pg_dump(url(db)) == ten


def test_an_edit_in_version_10_after_a_rollback_wins_over_what_was_kept(
    db: psycopg.Connection,
) -> None:
    patient(db, 40, bmi=20, smoking="never")
    patient(db, 41, bmi=20)
    turn(db, "up")
    db.execute("UPDATE public.users SET bmi = 30, phone = '1' WHERE id = 40")
    turn(db, "down")
    db.execute("UPDATE public.patients SET smoking = 'former', name = 'Eve New' WHERE id = 40")
    db.execute("UPDATE public.patients SET bmi = 22 WHERE id = 41")
    patient(db, 300)
    turn(db, "up")
    query = (
        "SELECT first_name, last_name, bmi::text, smoking_status, phone"
        " FROM public.users WHERE id = %s"
    )
    assert one(db, query, 40) == ("Eve", "New", "30.00", "former", "1")
    assert one(db, query, 41) == ("Pat", "Number41", "22.00", None, None)
    assert one(db, query, 300)[0] == "Pat"


def test_a_column_that_someone_added_is_carried_both_ways(db: psycopg.Connection) -> None:
    db.execute("ALTER TABLE public.patients ADD COLUMN extra text DEFAULT 'p'")
    db.execute('ALTER TABLE public.users ADD COLUMN "Odd name" numeric DEFAULT 1.10')
    db.execute("ALTER TABLE public.assessments ADD COLUMN extra jsonb")
    patient(db, 40, extra="kept")
    db.execute("""INSERT INTO public.assessments (patient_id, extra) VALUES (40, '{"a": 1.10}')""")
    before = pg_dump(url(db))
    turn(db, "up")
    db.execute("""UPDATE public.users SET "Odd name" = 2.20 WHERE id = 40""")
    eleven = pg_dump(url(db))
    turn(db, "down")
    assert pg_dump(url(db)) == before
    turn(db, "up")
    assert pg_dump(url(db)) == eleven


def test_triggers_stay_quiet_and_come_back_in_the_state_they_had(db: psycopg.Connection) -> None:
    db.execute(
        "CREATE FUNCTION public.loud() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'a trigger fired'; END $$"
    )
    patient(db, 40)
    patient(db, 2)
    db.execute("INSERT INTO public.assessments (patient_id) VALUES (2)")
    for table in ("users", "patients", "assessments", "refresh_tokens"):
        for state in ("ENABLE", "ENABLE ALWAYS", "ENABLE REPLICA", "DISABLE"):
            name = f"{table}_{state.replace(' ', '_').lower()}"
            db.execute(
                f"CREATE TRIGGER {name} BEFORE INSERT OR UPDATE OR DELETE ON public.{table}"
                f" FOR EACH ROW EXECUTE FUNCTION public.loud();"
                f"ALTER TABLE public.{table} {state} TRIGGER {name}".encode()
            )
    before = pg_dump(url(db))
    turn(db, "up")
    states = "SELECT tgname, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"
    assert len(rows(db, states)) == 16
    assert {state for _, state in rows(db, states)} == {"O", "A", "R", "D"}
    turn(db, "down")
    assert pg_dump(url(db)) == before


def test_sequences_only_move_forward_past_both_versions(db: psycopg.Connection) -> None:
    patient(db, 500)
    turn(db, "up")
    assert one(db, "SELECT nextval('public.users_id_seq')") == 501
    assert one(db, "SELECT nextval('archive.patients_id_seq')") == 501
    db.execute("SELECT setval('public.users_id_seq', 900)")
    turn(db, "down")
    assert one(db, "SELECT nextval('public.users_id_seq')") == 901
    assert one(db, "SELECT nextval('public.patients_id_seq')") == 901


def test_nobody_else_can_read_the_archive_whatever_the_default_privileges(
    db: psycopg.Connection,
) -> None:
    role = f"reader_{one(db, 'SELECT current_database()')}"
    name = psycopg.sql.Identifier(role)
    db.execute(psycopg.sql.SQL("CREATE ROLE {}").format(name))
    try:
        db.execute(
            psycopg.sql.SQL("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {}").format(name)
        )
        db.execute(
            psycopg.sql.SQL("ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO {}").format(name)
        )
        db.execute(psycopg.sql.SQL("GRANT SELECT ON public.patients TO {}").format(name))
        patient(db, 40)
        turn(db, "up")
        assert not one(db, "SELECT has_schema_privilege(%s, 'archive', 'USAGE')", role)
        assert rows(
            db,
            "SELECT c.relname FROM pg_class AS c, aclexplode(c.relacl) AS x"
            " WHERE c.relnamespace = 'archive'::regnamespace AND x.grantee <> c.relowner",
        ) == [("patients",)]
        assert not rows(
            db,
            "SELECT p.proname FROM pg_proc AS p,"
            " aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS x"
            " WHERE p.pronamespace = 'archive'::regnamespace AND x.grantee <> p.proowner",
        )
    finally:
        db.execute(psycopg.sql.SQL("DROP OWNED BY {}").format(name))
        db.execute(psycopg.sql.SQL("DROP ROLE {}").format(name))


def test_an_empty_database_goes_up_and_down(db: psycopg.Connection) -> None:
    db.execute("TRUNCATE public.users CASCADE")
    before = pg_dump(url(db))
    turn(db, "up")
    turn(db, "down")
    assert pg_dump(url(db)) == before


def test_each_turn_tells_its_counts_and_its_decisions_by_key_and_never_by_value(
    db: psycopg.Connection,
) -> None:
    told: list[tuple[str | None, str | None]] = []
    db.add_notice_handler(lambda d: told.append((d.sqlstate, d.message_primary)))
    for key in (2, 40, 41):
        patient(db, key, name="Canary Value", hypertension="canary value")
    turn(db, "up")
    db.execute("UPDATE public.users SET hypertension = 'no' WHERE id IN (40, 41)")
    db.execute("INSERT INTO public.users (id, email, password_hash) VALUES (900, 'canary', 'h')")
    turn(db, "down")
    ours = [message for state, message in told if state == "RK000"]
    assert ours == [
        "0011 Up: 3 rows of patients became 3 subjects, 1 of them under a new id; 2 natives.",
        "0011 Down: 3 rows of patients are back; 0 rows are withheld because they were deleted,"
        " 3 rows of users are kept for the next Up.",
        "0011 Down: made in version 11, users.is_active: 1 (900)",
        "0011 Down: replaced a value without an image, patients.hypertension: 2 (40, 41)",
    ]


def test_who_was_restored_in_version_11_keeps_the_edits_from_before_the_deletion(
    db: psycopg.Connection,
) -> None:
    patient(db, 40, bmi=20)
    turn(db, "up")
    db.execute("UPDATE public.users SET bmi = 30, account_status = 'deleted' WHERE id = 40")
    turn(db, "down")
    turn(db, "up")
    db.execute("UPDATE public.users SET account_status = 'active' WHERE id = 40")
    turn(db, "down")
    assert rows(db, "SELECT bmi::text FROM public.patients") == [("30.00",)]


def test_whom_version_10_let_in_again_stays_in_when_nobody_changed_it(
    db: psycopg.Connection,
) -> None:
    turn(db, "up")
    db.execute("UPDATE public.users SET deleted_at = now() WHERE id = 1")
    turn(db, "down")
    assert one(db, "SELECT is_active FROM public.users WHERE id = 1") is False
    db.execute("UPDATE public.users SET is_active = true WHERE id = 1")
    before = pg_dump(url(db))
    turn(db, "up")
    turn(db, "down")
    assert pg_dump(url(db)) == before
