"""An erasure that is cut off happens as a whole or not at all, and asking again says which."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

import psycopg
import pytest

from tests.support.cli import Outcome, run
from tests.support.proxy import Cut, CuttingProxy, is_any
from tests.support.refactor import turn

Connect = Callable[..., psycopg.Connection]
STATE = (
    "SELECT (SELECT count(*) FROM archive.patients WHERE id = 5)"
    " + (SELECT count(*) FROM archive.patients_map WHERE source_id = 5)"
    " + (SELECT count(*) FROM public.users AS u JOIN archive.patients_map AS m"
    " ON m.target_id = u.id WHERE m.source_id = 5),"
    " (SELECT count(*) FROM archive.patients_tombstones),"
    " (SELECT count(*) FROM pg_trigger WHERE tgname = 'mine' AND tgenabled = 'O')"
)
BEFORE, ERASED = (3, 0, 1), (0, 1, 1)


@pytest.fixture
def socket_path(database_at_10: str) -> Path:
    parameters = parse_qs(urlsplit(database_at_10).query)
    if "host" not in parameters:
        pytest.skip("the server has no socket that a proxy could stand before")
    return Path(parameters["host"][0], f".s.PGSQL.{parameters['port'][0]}")


@pytest.fixture
def db(database_at_10: str, connect: Connect) -> psycopg.Connection:
    connection = connect(database_at_10)
    turn(connection, "up")
    connection.execute(
        "CREATE FUNCTION public.mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
    )
    connection.execute(
        "CREATE TRIGGER mine AFTER DELETE ON public.users FOR EACH ROW"
        " EXECUTE FUNCTION public.mine()"
    )
    return connection


def through(proxy: CuttingProxy, url: str) -> str:
    parts = urlsplit(url)
    host = f"host={quote(str(proxy.path.parent))}"
    return urlunsplit(parts._replace(query=host))


def erase(url: str, *more: str) -> Outcome:
    return run(
        "archive", "erase", "5", "--basis", "x", "--approved-by", "y", "--json", *more, url=url
    )


def state(db: psycopg.Connection) -> tuple[int, ...]:
    (found,) = db.execute(STATE).fetchall()
    return tuple(found)


@pytest.mark.parametrize(
    ("cut", "code", "said", "left"),
    [
        (Cut.AFTER, 0, "", ERASED),
        (Cut.BEFORE, 1, "The server was asked again: the COMMIT did not happen.", BEFORE),
    ],
)
def test_a_commit_whose_answer_is_lost_is_asked_for(
    *,
    cut: Cut,
    code: int,
    said: str,
    left: tuple[int, ...],
    db: psycopg.Connection,
    database_at_10: str,
    socket_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    assert state(db) == BEFORE
    with CuttingProxy(socket_path, tmp_path_factory.mktemp("s"), cut, nth=1) as proxy:
        outcome = erase(through(proxy, database_at_10))
    assert proxy.has_cut
    assert outcome.code == code, outcome.err
    assert said in outcome.err
    assert state(db) == left


def test_a_connection_cut_at_any_message_leaves_all_or_nothing(
    db: psycopg.Connection,
    database_at_10: str,
    socket_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    short = tmp_path_factory.mktemp("s")
    seen = set()
    for nth in range(4, 400, 9):  # the first three are the login
        with CuttingProxy(socket_path, short, Cut.BEFORE, nth=nth, counts=is_any) as proxy:
            outcome = erase(through(proxy, database_at_10))
        if not proxy.has_cut:
            break
        seen.add(state(db))
        assert state(db) in {BEFORE, ERASED}
        assert "Traceback" not in outcome.err
        assert "defect" not in outcome.err
        if outcome.code != 0:
            assert "Nothing was changed." in outcome.err
            assert state(db) == BEFORE
    assert nth > 40
    again = erase(database_at_10, "--lock-wait", "20")
    assert (again.code, state(db)) == (0, ERASED)
    assert BEFORE in seen
