"""A story of what people added to the tables: columns, triggers, privileges, indexes."""

import psycopg

from tests.support.dump import pg_dump
from tests.support.model.cast import start
from tests.support.model.down import Settings
from tests.support.model.play import Play

_STATES = {"ENABLE": "O", "ENABLE ALWAYS": "A", "ENABLE REPLICA": "R", "DISABLE": "D"}
_TABLES = ("users", "patients", "assessments", "refresh_tokens", "user_clinics")
_ADDED = """
CREATE FUNCTION public.loud() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'a trigger fired'; END $$;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO PUBLIC;
ALTER TABLE public.users ADD COLUMN badge text DEFAULT 'none';
ALTER TABLE public.patients ADD COLUMN ward numeric DEFAULT 1.10;
ALTER TABLE public.assessments ADD COLUMN room jsonb;
ALTER TABLE public.refresh_tokens ADD COLUMN device text;
COMMENT ON COLUMN public.assessments.patient_id IS 'whose';
COMMENT ON INDEX public.idx_assessments_patient_id IS 'fast';
COMMENT ON TABLE public.patients IS 'people';
GRANT SELECT (bmi) ON public.patients TO PUBLIC;
CREATE INDEX by_name ON public.patients (lower(name));
CREATE INDEX by_patient ON public.assessments (patient_id) WHERE patient_id > 0
"""
_OPEN_TO_OTHERS = """
SELECT c.relname FROM pg_class AS c, aclexplode(c.relacl) AS x
WHERE c.relnamespace = 'archive'::regnamespace AND starts_with(c.relname, 'patients_')
    AND x.grantee <> c.relowner
UNION ALL
SELECT n.nspname FROM pg_namespace AS n, aclexplode(n.nspacl) AS x
WHERE n.nspname = 'archive' AND x.grantee <> n.nspowner
"""


def play_dressed(story: Play, url: str) -> None:
    """Go through the story; a law that does not hold is an AssertionError or the server's error."""
    db = story.live.connection
    story.begin(start(), {"users": (20, True), "patients": (200, True)})
    db.execute(_ADDED.encode())
    _set_triggers(db)
    _there_and_back(story, url)
    # One more column, when the archive knows these tables already.
    db.execute("ALTER TABLE public.patients ADD COLUMN bed text DEFAULT 'b1'")
    db.execute("ALTER TABLE public.patients ALTER COLUMN bed SET DEFAULT 'b2'")
    story.turn(Settings())
    assert db.execute(_OPEN_TO_OTHERS.encode()).fetchall() == []
    subject = {key: pair.user for key, pair in story.world.complement.pairs.items()}
    _write_quietly(
        db,
        "UPDATE public.users SET badge = id::text; UPDATE public.assessments SET room = '[1.10]'",
    )
    _write_quietly(
        db,
        "INSERT INTO public.refresh_tokens (id, user_id, token_hash, expires_at, revoked,"
        f" created_at, device) SELECT 9, {subject[2]}, 'd', now(), false, now(), 'phone'",
    )
    _write_quietly(
        db, f"UPDATE public.users SET deleted_at = now() WHERE id IN ({subject[40]}, {subject[2]})"
    )
    story.world.tables = story.live.tables(11)
    _there_and_back(story, url)
    assert _states(db) == set(_STATES.values())
    _write_quietly(db, "UPDATE public.users SET deleted_at = NULL")
    story.world.tables = story.live.tables(11)
    story.turn(Settings())
    assert db.execute("SELECT DISTINCT bed FROM public.patients").fetchall() == [("b1",)]


def _there_and_back(story: Play, url: str) -> None:
    before = pg_dump(url)
    story.there_and_back()
    assert pg_dump(url) == before


def _set_triggers(db: psycopg.Connection) -> None:
    for table in _TABLES:
        for state in _STATES:
            name = f'"{table} {state}"'
            db.execute(
                f"CREATE TRIGGER {name} BEFORE INSERT OR UPDATE OR DELETE ON public.{table}"
                f" FOR EACH ROW EXECUTE FUNCTION public.loud();"
                f" ALTER TABLE public.{table} {state} TRIGGER {name}".encode()
            )


def _write_quietly(db: psycopg.Connection, text: str) -> None:
    with db.transaction():
        db.execute(
            "ALTER TABLE public.users DISABLE TRIGGER USER;"
            "ALTER TABLE public.assessments DISABLE TRIGGER USER;"
            "ALTER TABLE public.refresh_tokens DISABLE TRIGGER USER"
        )
        db.execute(text.encode())
        for table in ("users", "assessments", "refresh_tokens"):
            for state in _STATES:
                db.execute(f'ALTER TABLE public.{table} {state} TRIGGER "{table} {state}"'.encode())


def _states(db: psycopg.Connection) -> set[str]:
    query = "SELECT tgenabled::text FROM pg_trigger WHERE NOT tgisinternal"
    return {state for (state,) in db.execute(query)}
