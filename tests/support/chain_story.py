"""One story of the chain, always the same: no planted fault of its files may survive it."""

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg

from refactorkit.migrations.model import Direction
from tests.support.chain_model import RESPELLED, RISK_LEVELS, TOP, Stay
from tests.support.dump import pg_dump
from tests.support.model.columns import ASSESSMENTS_10, PATIENTS, Row
from tests.support.model.live import Live
from tests.support.model.play import differences
from tests.support.model.world import World
from tests.support.scripts import chain

# Triggers that our own writes would wake, in each state; the story's own writes are no matter.
DRESS = """
CREATE FUNCTION public.loud() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF current_setting('story.writes', true) = 'on' THEN RETURN coalesce(NEW, OLD); END IF;
    RAISE EXCEPTION 'a trigger fired'; END $$;
CREATE TRIGGER loud BEFORE INSERT OR UPDATE OR DELETE ON public.users
    FOR EACH ROW EXECUTE FUNCTION public.loud();
CREATE TRIGGER loud BEFORE INSERT OR UPDATE OR DELETE ON public.patients
    FOR EACH ROW EXECUTE FUNCTION public.loud();
CREATE TRIGGER loud BEFORE INSERT OR UPDATE OR DELETE ON public.assessments
    FOR EACH ROW EXECUTE FUNCTION public.loud();
CREATE TRIGGER loud BEFORE INSERT OR UPDATE OR DELETE ON public.refresh_tokens
    FOR EACH ROW EXECUTE FUNCTION public.loud();
CREATE TRIGGER quiet BEFORE UPDATE ON public.patients
    FOR EACH ROW EXECUTE FUNCTION public.loud();
ALTER TABLE public.patients ENABLE ALWAYS TRIGGER loud, DISABLE TRIGGER quiet;
ALTER TABLE public.assessments ENABLE REPLICA TRIGGER loud;
ALTER TABLE public.users ENABLE ALWAYS TRIGGER loud;
COMMENT ON TABLE public.clinics IS 'ours';
GRANT SELECT ON public.refresh_tokens TO PUBLIC;
ALTER TABLE public.user_clinics ADD COLUMN note text DEFAULT 'x';
"""
CLUSTERS = (*RISK_LEVELS, *RESPELLED, "SIDD", "SIRD", "MOD", "MARD", "odd", "")
TIME, LATER = "2020-01-01 00:00:00+00", "2023-03-03 03:03:03+00"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault to plant in a file: one text instead of another, wherever it is met."""

    name: str
    version: int
    direction: Direction
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.version:04} {self.direction}: {self.name}"


class Story:
    """A database at version 10 and its model."""

    def __init__(self, connection: psycopg.Connection, url: str, *faults: Fault) -> None:
        self.connection = connection
        self.url = url
        self.live = Live(connection)
        self.world = World()
        self._faults = faults

    def run(self, version: int, direction: Direction) -> None:
        """Run one direction of one file, with the faults in it."""
        script = chain()[version].script(direction)
        faults = [f for f in self._faults if (f.version, f.direction) == (version, direction)]
        texts = [statement.text for statement in script.statements]
        for fault in faults:
            if not any(fault.old in text for text in texts):
                raise LookupError(f"{fault} is not met: {fault.old!r}")
            texts = [text.replace(fault.old, fault.new) for text in texts]
        with self.connection.transaction():
            self.connection.execute("SET LOCAL story.writes = off")
            for text in texts:
                self.connection.execute(text.encode())

    def down(self, to: int) -> None:
        for version in range(TOP, to, -1):
            self.run(version, Direction.DOWN)

    def up(self, above: int) -> None:
        for version in range(above + 1, TOP + 1):
            self.run(version, Direction.UP)

    def there_and_back(self, version: int) -> None:
        """Turn twice: nothing is any different."""
        before = pg_dump(self.url)
        self.down(version)
        self.up(version)
        assert pg_dump(self.url) == before

    def leave(self, stay: Stay) -> None:
        """Go up from a stay, and compare every row with the model's."""
        self.up(stay.version)
        stay.end()
        found = self.live.tables(TOP)
        for key in stay.timed_by_up:
            row = found["assessments"][key]
            assert str(row["updated_at"]) > LATER
            stay.world["assessments"][key]["updated_at"] = row["updated_at"]
        wrong = [d for name in found for d in differences(name, found[name], stay.world[name])]
        assert not wrong, "\n".join(["server | model:", *wrong])

    def stay(self, version: int) -> Stay:
        """Go down to a version, to write there."""
        self.world.tables = self.live.tables(TOP)
        self.down(version)
        return Stay(self.world, version)

    def insert(self, stay: Stay, table: str, key: int, row: Row) -> None:
        self.live.insert(table, stay.insert(table, key, {"id": key, **row}))

    def update(self, stay: Stay, table: str, key: int, row: Row) -> None:
        stay.update(table, key, row)
        self.live.update(table, key, row)

    def delete(self, stay: Stay, table: str, key: int) -> None:
        stay.delete(table, key)
        self.live.delete(table, key)

    def kept(self) -> Mapping[str, int]:
        """Count what found no place: rows, by table of the archive."""
        query = "SELECT relname FROM pg_class WHERE relname ~ '^chain_.*_(orphans|gone)$'"
        names = [name for (name,) in self.connection.execute(query)]
        return {name: self.live.value(f"SELECT count(*) FROM archive.{name}") for name in names}


def user(key: int, made: str = TIME) -> Row:
    return {
        "email": f"user {key} of {made}",
        "password_hash": "h",
        "role": "clinician",
        "created_at": made,
        "updated_at": made,
    }


def patient(name: str, made: str = TIME, **others: int | bool | None) -> Row:
    empty: Row = dict.fromkeys(PATIENTS[1:])
    return empty | {"name": name, "created_at": made, "updated_at": made} | others


def assessment(patient_id: int | None, cluster: str | None, score: int, made: str = TIME) -> Row:
    row: Row = dict.fromkeys(ASSESSMENTS_10[1:])
    row |= {"patient_id": patient_id, "cluster": cluster, "risk_score": score}
    return row | {"created_at": made, "updated_at": LATER}


def play(story: Story) -> None:
    """Go through the story; what does not hold is an AssertionError or the server's error."""
    story.connection.execute("SET story.writes = on")
    open_clinic(story)
    story.there_and_back(0)
    ids_typed_in_again(story)
    scores_and_clusters(story)
    a_place_taken_from_mock_data(story)
    story.there_and_back(0)


def open_clinic(story: Story) -> None:
    """Write before 0007, for it to rename; then what version 10 has and 9 has not."""
    story.down(6)
    for key in (-5, 1001, 1002, 1003, 1004, 1006):
        story.live.insert("users", {"id": key, **user(key)})
    answers = ((True, None), (None, False), (None, None), (True, False), (False, True))
    for at, (history, active) in enumerate(answers):
        owner = (1001, 1002, 1003, -5, 1001)[at]
        row = patient(f"p{at}", user_id=owner, family_history=history, phys_activity=active)
        story.live.insert("patients", {"id": 2001 + at, **row})
    for at, cluster in enumerate((*CLUSTERS, *CLUSTERS)):
        row = assessment(2001 + at % 5, cluster, 30 + 2 * at)
        story.live.insert("assessments", {"id": 3001 + at, **row})
    story.up(6)
    story.connection.execute(
        """
        UPDATE users SET is_active = false, created_by = -5 WHERE id = 1001;
        UPDATE users SET is_active = false WHERE id = 1006;
        UPDATE users SET last_login_at = 'infinity' WHERE id = 1002;
        UPDATE users SET created_by = 1002 WHERE id IN (1003, 1004);
        INSERT INTO refresh_tokens (id, user_id, token_hash, expires_at)
        VALUES (4001, 1001, 'a', now()), (4002, 1002, 'b', now()), (4003, 1003, 'c', now());
        INSERT INTO clinics (id, name) VALUES (5001, 'North'), (5002, '');
        INSERT INTO user_clinics (user_id, clinic_id)
        VALUES (1001, 5001), (1002, 5002), (1003, 5001), (2, 5002);
        UPDATE assessments SET risk_score = 95 WHERE id > 3000 AND id % 2 = 0;
        UPDATE assessments SET updated_at = '-infinity' WHERE id % 3 = 0;
        UPDATE assessments SET cluster = NULL WHERE id IN (3002, 3010);
        UPDATE assessments SET cluster = 'low_risk' WHERE id = 3003;
        UPDATE assessments SET cluster = 'SOIRD' WHERE id IN (3004, 3011);
        UPDATE assessments SET cluster = 'SIRD' WHERE id IN (3005, 3017);
        UPDATE users SET email = 'real@clinic.invalid' WHERE email = 'researcher@mock.invalid';
        UPDATE assessments SET fbs = 1 WHERE id = (SELECT max(a.id) FROM assessments AS a
            JOIN patients AS p ON p.id = a.patient_id WHERE p.name = 'Mock Patient 08')
        """
    )
    story.connection.execute(DRESS)


def ids_typed_in_again(story: Story) -> None:
    """At version 1: what belonged to a person does not go to another who has the id now."""
    stay = story.stay(1)
    story.delete(stay, "users", 1002)
    story.insert(stay, "users", 1002, user(1002, LATER))
    story.delete(stay, "users", 1003)
    story.delete(stay, "patients", 2001)
    story.insert(stay, "patients", 2001, patient("another", LATER))
    story.delete(stay, "patients", 2005)
    story.insert(stay, "patients", 2006, patient("new"))
    for key, cluster in ((3001, "high_risk"), (3007, "High risk"), (3008, "MIDD"), (3021, None)):
        if key in story.world["assessments"]:
            story.delete(stay, "assessments", key)
        story.insert(stay, "assessments", key, assessment(2003, cluster, 85, LATER))
    story.leave(stay)
    assert story.kept() == {
        "chain_0004_refresh_tokens_orphans": 2,
        "chain_0005_patients_owner_gone": 2,
        "chain_0009_user_clinics_orphans": 2,
        "chain_0010_users_creator_gone": 1,
    }


def scores_and_clusters(story: Story) -> None:
    """At version 6: a score renames nothing, a cluster that was written there is of there."""
    stay = story.stay(6)
    # Somebody's decision in version 10, and no work of 0007.
    decided = "SELECT count(*) FROM assessments WHERE id = 3017 AND cluster = 'SIRD'"
    assert story.live.value(decided) == 1
    for at, key in enumerate(sorted(story.world["assessments"])):
        if int(str(key)) > 3000:
            story.update(
                stay, "assessments", int(str(key)), {"risk_score": (1, 55, 70, 99)[at % 4]}
            )
    for key, cluster in ((3003, "high_risk"), (3004, "Low risk"), (3013, "MARD"), (3022, "MIDD")):
        if key in story.world["assessments"]:
            story.update(stay, "assessments", key, {"cluster": cluster})
    story.leave(stay)


def a_place_taken_from_mock_data(story: Story) -> None:
    """At version 5: somebody has a mock user's email, who stays away with what was theirs."""
    demo = "demo.clinician@mock.invalid"
    key = story.live.value(f"SELECT id FROM users WHERE email = '{demo}'")
    theirs = story.live.value(f"SELECT count(*) FROM patients WHERE user_id = {key}")
    assert theirs > 0
    stay = story.stay(5)
    stay.delete("users", key)
    story.insert(stay, "users", 1005, user(1005, LATER) | {"email": demo})
    story.leave(stay)
    assert story.live.value("SELECT count(*) FROM archive.chain_0006_users") == 1
    assert story.live.value("SELECT count(*) FROM archive.chain_0006_patients") == theirs
