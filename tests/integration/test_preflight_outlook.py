"""What preflight counts and predicts is what happens then, for every mapping; and its two forms."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from refactorkit.commands.preflight import Level, outlook
from refactorkit.commands.preflight.figures import Figures
from refactorkit.commands.preflight.prediction import Prediction
from refactorkit.commands.verdict import Verdict
from refactorkit.mapping.load import load_mapping
from refactorkit.postgres.preflight.disk import Room
from refactorkit.postgres.preflight.looking import UnseenError
from tests.integration.compile_stories import STORIES
from tests.support.chain import SQL
from tests.support.cli import run, write_files
from tests.support.clinic import open_clinic, tell, work_as_version_11
from tests.support.preflights import look, no_gos
from tests.support.queries import scalar
from tests.support.refactor import turn
from tests.support.refusals import keeps_secrets, plant_canary

MAPPINGS = Path(__file__).parents[1] / "mappings"
GENEROUS = 5
PREDICTION = Prediction(
    rows=100,
    wal_bytes=60,
    whole_page_bytes=0,
    disk_bytes=100,
    seconds=10.0,
    lock_seconds=10.0,
    longest_seconds=4.0,
    sampled=5,
    sample_seconds=0.1,
)


def counted(figures: Figures | None) -> dict[str, int]:
    assert figures is not None
    return {
        "sources": figures.pairs,
        "pairs": figures.pairs,
        "subjects": figures.subjects,
        "natives": figures.natives,
        "renumbered": figures.renumbered,
    }


def happened(db: psycopg.Connection, name: str) -> dict[str, int]:
    query = f"SELECT counts FROM archive.{name}_turns ORDER BY turn DESC LIMIT 1"
    counts = scalar(db, query)
    assert isinstance(counts, dict)
    return {key: counts[key] for key in ("sources", "pairs", "subjects", "natives", "renumbered")}


def test_up_counts_what_preflight_counted_each_time(
    database_at_10: str, connect: Callable[..., psycopg.Connection]
) -> None:
    db = connect(database_at_10)
    open_clinic(database_at_10)
    before_up = look(database_at_10)
    assert before_up.verdict is Verdict.PASS, no_gos(before_up)
    turn(db, "up")
    assert counted(before_up.figures) == happened(db, "patients")

    work_as_version_11(database_at_10)
    turn(db, "down")
    tell(
        database_at_10,
        "DELETE FROM public.patients WHERE id IN (2, 60);"
        " INSERT INTO public.patients (name, user_id) VALUES ('later', 60);"
        " INSERT INTO public.patients (id, name, user_id) VALUES (-8, 'low', 60)",
    )
    before_redo = look(database_at_10)
    assert before_redo.verdict is Verdict.PASS, no_gos(before_redo)
    turn(db, "up")
    assert counted(before_redo.figures) == happened(db, "patients")
    assert before_redo.figures is not None
    assert before_redo.figures.deleted == 2


def test_the_rows_to_be_relinked_are_those_that_change(
    database_at_10: str, connect: Callable[..., psycopg.Connection]
) -> None:
    db = connect(database_at_10)
    open_clinic(database_at_10)
    figures = look(database_at_10).figures
    assert figures is not None
    db.execute("CREATE TABLE public.before_up AS SELECT id, patient_id FROM public.assessments")
    turn(db, "up")
    changed = scalar(
        db,
        "SELECT count(*) FROM public.before_up AS b JOIN public.assessments AS a USING (id)"
        " WHERE a.user_id <> b.patient_id",
    )
    assert figures.relinked == {"public.assessments": changed}


@pytest.mark.parametrize("name", sorted(STORIES))
def test_preflight_knows_every_mapping(
    name: str,
    empty_database: str,
    connect: Callable[..., psycopg.Connection],
    tmp_path: Path,
) -> None:
    """Its own words, tables and columns: what is counted before is what happens, twice."""
    story = STORIES[name]
    mapping = load_mapping(MAPPINGS / f"{name}.toml")
    prefix = mapping.name
    before = (MAPPINGS / f"{name}.sql").read_text(encoding="utf-8")
    wrapped = f"-- +goose Up\n-- +goose StatementBegin\n{before}\n-- +goose StatementEnd\n"
    folder = write_files(tmp_path / "sql", {"0001_before.sql": wrapped + "\n-- +goose Down\n"})
    assert run("compile", MAPPINGS / f"{name}.toml", "--dir", folder).code == 0
    done = run("up", "--to", "1", "--dir", folder, url=empty_database)
    assert done.code == 0, done.err
    db = connect(empty_database)
    for each in (mapping.source.table, mapping.target.table, *(x.table for x in mapping.link)):
        table = sql.Identifier("public", each)
        db.execute(sql.SQL("ALTER TABLE {} ADD refactorkit_turn integer").format(table))
        (refusal,) = no_gos(look(empty_database, directory=folder))
        assert "refactorkit_turn has a name that the archive keeps" in refusal
        db.execute(sql.SQL("ALTER TABLE {} DROP refactorkit_turn").format(table))
    for _ in range(2):
        result = look(empty_database, directory=folder, sample=True)
        assert result.verdict is Verdict.PASS, no_gos(result)
        assert {each.check for each in result.of(Level.UNKNOWN)} == set()
        assert result.prediction is not None
        done = run("up", "--dir", folder, url=empty_database)
        assert done.code == 0, done.err
        assert counted(result.figures) == happened(db, prefix)
        db.execute(story.new_writes.encode())
        db.execute(story.settings.encode())
        options = scalar(db, "SELECT current_setting('refactorkit.custodian', true)")
        down = ["down", *(["--custodian", str(options)] if options else [])]
        done = run(*down, "--dir", folder, url=empty_database)
        assert done.code == 0, done.err
        db.execute(story.old_writes.encode())
        story = replace(story, new_writes="SELECT", old_writes="SELECT")


def test_the_prediction_is_of_the_size_of_what_happens(
    database_at_10: str, connect: Callable[..., psycopg.Connection]
) -> None:
    db = connect(database_at_10)
    assert run("seed", "--patients", "5000", url=database_at_10).code == 0
    db.execute("VACUUM ANALYZE")
    predicted = look(database_at_10, sample=True).prediction
    assert predicted is not None
    position = scalar(db, "SELECT pg_current_wal_insert_lsn()")
    done = run("up", "--json", "--dir", SQL, url=database_at_10)
    assert done.code == 0, done.err
    wal = scalar(db, "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s)::bigint", position)
    (step,) = done.document["steps"]
    assert isinstance(wal, int)
    assert wal / GENEROUS < predicted.wal_bytes < wal * GENEROUS
    assert step["seconds"] / GENEROUS < predicted.seconds < step["seconds"] * GENEROUS
    assert predicted.lock_seconds <= predicted.seconds
    assert predicted.sampled == 5000


def test_without_a_sample_nothing_is_predicted_and_the_rest_is_no_less_known(
    database_at_10: str,
) -> None:
    result = look(database_at_10, sample=False)
    assert result.prediction is None
    assert [f.check for f in result.of(Level.UNKNOWN)] == ["forecast", "disk_space"]
    assert result.verdict is Verdict.PASS


@pytest.mark.parametrize(("free", "level"), [(99, Level.NO_GO), (150, Level.NOTE), (201, Level.OK)])
def test_the_room_on_the_disk_is_held_against_the_need(free: int, level: Level) -> None:
    room = Room(database_bytes=1, tables_bytes=1, free=free * 2**20)
    need = replace(PREDICTION, disk_bytes=100 * 2**20)
    (observation,) = outlook.disk_space(room, need)
    assert observation.level is level
    assert f"{free} MiB are free, and 100 MiB are needed" in observation.says


def test_room_that_is_not_to_be_seen_is_unknown_and_says_where_to_look() -> None:
    room = Room(database_bytes=1, tables_bytes=1, free=UnseenError("elsewhere", "Look there."))
    (observation,) = outlook.disk_space(room, PREDICTION)
    assert (observation.level, observation.do) == (Level.UNKNOWN, "Look there.")


@pytest.mark.parametrize(
    ("limits", "level"),
    [
        ({"statement_timeout": 3.0}, Level.NO_GO),
        ({"statement_timeout": 5.0}, Level.NOTE),
        ({"statement_timeout": 9.0}, Level.OK),
        ({"transaction_timeout": 9.0}, Level.NO_GO),
        ({"transaction_timeout": 30.0}, Level.OK),
        ({}, Level.OK),
    ],
)
def test_a_limit_of_time_that_up_would_run_into_is_a_no_go(
    limits: dict[str, float], level: Level
) -> None:
    (observation,) = outlook.time_limits(limits, PREDICTION)
    assert observation.level is level


def test_a_limit_of_the_database_is_seen(
    database_at_10: str, connect: Callable[..., psycopg.Connection]
) -> None:
    db = connect(database_at_10)
    name = db.info.dbname
    db.execute(f"ALTER DATABASE {name} SET statement_timeout = '123s'".encode())
    result = look(database_at_10)
    (limit,) = (f for f in result.findings if f.check == "time_limits")
    assert (limit.level, "statement_timeout is 123 s" in limit.says) == (Level.NOTE, True)


# What it prints


def test_the_text_has_the_verdict_first_then_what_to_do_then_notes_then_figures(
    database_at_10: str,
) -> None:
    open_clinic(database_at_10)
    plant_canary(database_at_10)
    go = run("preflight", "--dir", SQL, url=database_at_10)
    assert go.code == 0, go.err
    assert go.out.startswith("GO: ")

    tell(database_at_10, "CREATE VIEW public.v AS SELECT id FROM public.users")
    said = run("preflight", "--no-sample", "--dir", SQL, url=database_at_10)
    assert said.code == 3
    assert said.out.startswith("NO-GO: 1 thing stands in the way, ")
    order = [
        "no-go: view public.v depends on public.users. [dependants]",
        "    Drop it, and make it again",
        "Or overrule it: --accept dependants.",
        "note: values of public.patients without an image: ",
        "not seen: nothing was predicted",
        "figure",
        "ok: ",
    ]
    places = [said.out.find(each) for each in order]
    assert -1 not in places, said.out
    assert places == sorted(places)
    accepted = run("preflight", "--accept", "dependants", "--dir", SQL, url=database_at_10)
    assert accepted.code == 0
    for outcome in (go, said, accepted):
        assert keeps_secrets(outcome, database_at_10)


def test_the_document_has_every_check_with_verdict_and_name(database_at_10: str) -> None:
    open_clinic(database_at_10)
    plant_canary(database_at_10)
    tell(database_at_10, "CREATE POLICY p ON public.patients USING (name = 'canary')")
    said = run(
        "preflight", "--json", "--expect-database", "other", "--dir", SQL, url=database_at_10
    )
    assert said.code == 3
    assert keeps_secrets(said, database_at_10)
    document = said.document
    assert document["verdict"] == "fail"
    assert document["refactor"] == "0011_refactor_to_menopausal.sql"
    bad = [each for each in document["checks"] if each["verdict"] == "no-go"]
    assert [each["name"] for each in bad] == ["identity", "row_filters"]
    assert all(each["do"] for each in bad)
    assert {each["verdict"] for each in document["checks"]} <= {"ok", "note", "no-go", "unknown"}
    assert document["figures"]["sources"] == 14
    assert document["figures"]["without_image"]["hypertension"] == 2
    assert document["prediction"]["sampled"] == 14
    assert json.dumps(document).isascii()


def test_a_server_that_is_not_there_is_no_verdict() -> None:
    said = run("preflight", "--json", "--dir", SQL, url="postgresql://a@127.0.0.1:1/clinic")
    assert said.code == 1
    assert said.document["verdict"] == "incomplete"


def test_a_question_that_takes_too_long_is_unknown(database_at_10: str) -> None:
    tell(
        database_at_10,
        "CREATE FUNCTION public.slow(text) RETURNS boolean LANGUAGE plpgsql"
        " AS 'BEGIN PERFORM pg_sleep(2); RETURN true; END';"
        " ALTER TABLE public.users ADD CONSTRAINT slow CHECK (public.slow(role)) NOT VALID",
    )
    result = look(database_at_10, timeout_seconds=1.5)
    assert result.verdict is Verdict.INCOMPLETE
    (said,) = (f.says for f in result.of(Level.UNKNOWN) if f.check == "subject_checks")
    assert "check slow of public.users: it took longer than 1.5 s" in said
