"""A value that is in every text of every row is in nothing that the program says or leaves behind.

Every command is run, also into errors; looked at are its output, its log, its files, the titles of
its processes, and the lines that it causes in the server's log.
"""

import functools
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit, urlunsplit

import psycopg
import pytest

from refactorkit.commands.archive_export import ExportRequest
from refactorkit.migrations.model import Direction
from refactorkit.postgres.embedded import EmbeddedServer
from tests.support import canary, servers
from tests.support.canary import CANARY, CUSTODIAN
from tests.support.chain import SQL, migrate
from tests.support.cli import Outcome, run, start
from tests.support.planted import plant
from tests.support.proxy import Cut, CuttingProxy

UP, DOWN = Direction

# Each command, in an order in which all of them have something to do; {dir} is a scratch folder.
CALLS = (
    ("status", 0),
    ("status --check", 3),
    ("version", 0),
    ("validate", 0),
    ("up --dry-run", 0),
    ("preflight --no-sample", 0),
    ("up", 0),
    ("plan --no-observe down", 0),
    ("verify --rollback", 0),
    ("archive status", 0),
    ("archive hold 5 --reason case-1 --by counsel", 0),
    ("archive hold 5 --reason done --by counsel --release", 0),
    ("archive hold 999999 --reason case-2 --by counsel", 3),
    ("verify", 0),
    ("PLANT", 0),
    ("status", 0),
    ("verify", 3),
    ("verify --allow-edits --limit 500", 0),
    ("down --dry-run", 0),
    ("down", 3),
    ("down --custodian nobody@nowhere.invalid", 3),
    (f"down --custodian {CUSTODIAN}", 0),
    ("verify --limit 500", 0),
    ("archive status --check", 0),
    ("up", 0),
    ("redo --dry-run", 0),
    ("redo", 0),
    ("seed", 3),
    ("seed --add --patients 3", 3),
    ("audit keygen {dir}/key", 0),
    ("audit anchor --key {dir}/key --out {dir}/evidence", 0),
    ("audit cosign {dir}/evidence --key {dir}/key --trust {dir}/key.pub", 0),
    ("audit verify {dir}/evidence --key {dir}/key.pub", 0),
    ("audit report --output {dir}/report --evidence {dir}/evidence --key {dir}/key.pub", 3),
    ("audit prove 5 --out {dir}/proof", 0),
    ("rollback --dry-run", 0),
    ("archive export --out {dir}/export", 0),
    ("archive verify-export {dir}/export", 0),
    ("archive import {dir}/export", 3),
    ("archive erase 6 --basis ticket-7 --approved-by counsel --dry-run", 0),
    ("archive erase 6 --basis ticket-7 --approved-by counsel", 0),
    ("archive tombstones", 0),
    ("cutover --yes", 0),
    ("archive harden", 0),
    ("archive harden --off", 0),
    ("archive purge --before 2020-01-01 --dry-run", 0),
    ("archive purge --before 2020-01-01 --basis retention --approved-by counsel", 0),
    ("archive purge --before 2020-01-01 --accept no_rollback --dry-run", 3),
    ("compile --check", 0),
    ("create probe --dir {dir}", 0),
    ("postgres status --directory {dir}/none", 3),
    ("postgres stop --directory {dir}/none", 0),
)
APART = {  # commands that a test of their own runs, or that never see a database of people
    "drill",
    "postgres start",
}


@dataclass(frozen=True, kw_only=True)
class House:
    """A server of one's own, whose log can be read.

    Attributes:
        server: the server.
        template: the name of a database at version 10, full of canaries.
    """

    server: EmbeddedServer
    template: str

    @property
    def log(self) -> str:
        return (self.server.directory / "log").read_text(errors="replace")

    def database(self, name: str) -> str:
        with psycopg.connect(self.server.dsn(), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
            admin.execute(f"CREATE DATABASE {name} TEMPLATE {self.template}".encode())
        return self.server.dsn(name)


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with EmbeddedServer.start(
        durable=False,
        directory=servers.memory_folder(),
        binaries=servers.chosen_binaries(),
        # as a server has them that nobody configured: details and statements are logged
        settings={"log_error_verbosity": "default", "log_min_error_statement": "error"},
    ) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            admin.execute("CREATE DATABASE full_of_canaries")
        migrate(server.dsn("full_of_canaries"), 10)
        canary.plant_at_10(server.dsn("full_of_canaries"))
        yield House(server=server, template="full_of_canaries")


@pytest.fixture
def log(house: House) -> Callable[[], str]:
    """What the server logs from now on."""
    before = len(house.log)
    return lambda: house.log[before:]


@pytest.fixture
def url(house: House) -> str:
    return house.database("clinic")


@pytest.fixture
def at_11(url: str) -> str:
    outcome = run("up", "--dir", SQL, url=url)
    assert outcome.code == 0, outcome.err
    canary.plant_at_11(url)
    return url


def silent(outcome: Outcome, url: str) -> bool:
    password = unquote(urlsplit(url).password or CANARY)
    return not any(secret in outcome.out + outcome.err for secret in (CANARY, password))


def test_the_canary_is_where_it_must_not_be_seen(at_11: str) -> None:
    """What finds nothing proves nothing: it is in every table that has texts."""
    with psycopg.connect(at_11) as connection:
        for table in (
            "archive.patients", "public.users", "public.assessments", "public.refresh_tokens",
            "public.notification_queue", "public.clinics", "public.audit_events",
        ):  # fmt: skip
            query = f"SELECT count(*) FROM {table} AS t WHERE t::text LIKE %s"
            row = connection.execute(query.encode(), [f"%{CANARY}%"]).fetchone()
            assert row is not None
            assert row[0] > 0, table


def test_every_command_is_run() -> None:
    called = {re.split(r" (?:--|probe|[0-9]|{)", call)[0] for call, _ in CALLS} - {"PLANT"}
    assert called | APART == canary.commands()


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_command_shows_a_value_that_it_handles(
    form: str,
    url: str,
    log: Callable[[], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cheap = functools.partial(ExportRequest, work_factor=10)
    monkeypatch.setattr("refactorkit.cli.archive_export.ExportRequest", cheap)
    for call, code in CALLS:
        if call == "PLANT":
            canary.plant_at_11(url)
            continue
        arguments = call.format(dir=tmp_path).split()
        if "--dir" not in arguments:
            arguments += ["--dir", str(SQL)]
        if form == "json":
            arguments.append("--json")
        env = {"REFACTORKIT_EXPORT_PASSPHRASE": f"{CANARY} as a passphrase"}
        outcome = run(*arguments, "--log-level", "debug", url=url, env=env)
        assert outcome.code == code, (call, outcome.err)
        assert silent(outcome, url), call
    assert canary.files_with(tmp_path, CANARY) == []
    assert CANARY not in log()


def test_a_drill_on_a_copy_leaves_nothing_behind_and_shows_nothing(
    url: str, log: Callable[[], str], tmp_path: Path
) -> None:
    password = unquote(urlsplit(url).password or "")
    seen: list[str] = []
    process = start(
        "drill", "--from", url.replace(quote(password, safe=""), ""), "--dir", SQL, "--json",
        "--log-level", "debug", env={"TMPDIR": str(tmp_path), "PGPASSWORD": password},
    )  # fmt: skip
    while process.poll() is None:
        seen += canary.titles_with(CANARY, password)
        time.sleep(0.05)
    out, err = process.communicate()
    outcome = Outcome(code=process.returncode, out=out, err=err)
    assert outcome.code in {0, 3}, outcome.err
    assert "compared" in outcome.out
    assert silent(outcome, url)
    assert seen == []
    assert canary.files_with(tmp_path, CANARY, password) == []
    assert CANARY not in log()


# Errors


def tell(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def fails(url: str, *arguments: str | Path, code: int, says: str) -> None:
    """Run a command into an error, in both forms; it says what is wrong, and no value."""
    for form in ((), ("--json",)):
        outcome = run(*arguments, *form, "--log-level", "debug", url=url)
        assert outcome.code == code, outcome.err
        assert says in outcome.err
        assert silent(outcome, url)
        assert "Traceback" not in outcome.err


def test_a_guard_names_no_value(url: str, log: Callable[[], str]) -> None:
    tell(
        url,
        "INSERT INTO public.users (email, password_hash) SELECT 'patient-1@unclaimed.invalid', 'h'",
        "CREATE VIEW public.shown AS SELECT * FROM public.patients",
    )
    fails(url, "up", "--dir", SQL, code=3, says="refuses")
    assert CANARY not in log()


def test_a_lock_that_is_not_to_be_had_names_no_value(url: str, log: Callable[[], str]) -> None:
    with psycopg.connect(url) as holder:
        holder.execute("SELECT FROM public.patients LIMIT 1")
        options = ("--lock-timeout-ms", "50", "--retries", "1", "--dir", SQL)
        fails(url, "up", *options, code=4, says="LockNotAvailable")
    assert CANARY not in log()


CAUSES = {
    "a value that is no number": (
        "SELECT name::integer FROM public.patients",
        "InvalidTextRepresentation",
    ),
    "a row that breaks a check": (
        "ALTER TABLE public.patients ADD CONSTRAINT named CHECK (name = '') NOT VALID;"
        " UPDATE public.patients SET age = 1",
        "CheckViolation",
    ),
    "two rows with one key": (
        "CREATE UNIQUE INDEX ON public.patients ((left(name, 17)))",
        "UniqueViolation",
    ),
    "an error of somebody's own": (
        "DO $$ BEGIN RAISE EXCEPTION '%', (SELECT name FROM public.patients LIMIT 1); END $$",
        "RaiseException",
    ),
    "a statement timeout": (
        "SET LOCAL statement_timeout = 50; SELECT pg_sleep(9) FROM public.patients",
        "QueryCanceled",
    ),
    "the end of the session": ("SELECT pg_terminate_backend(pg_backend_pid())", "was lost"),
    "a notice": (
        "DO $$ BEGIN RAISE NOTICE '%', (SELECT name FROM public.patients LIMIT 1); END $$;"
        " SELECT 1 / 0",
        "DivisionByZero",
    ),
}


@pytest.mark.parametrize(("statement", "says"), CAUSES.values(), ids=CAUSES)
def test_a_server_s_error_that_quotes_a_row_is_told_without_it(
    statement: str, says: str, url: str, tmp_path: Path
) -> None:
    directory = plant(tmp_path, UP, after=2, statement=statement)
    fails(url, "up", "--dir", directory, code=1, says=says)


def test_a_line_that_is_cut_names_no_value(
    url: str, log: Callable[[], str], tmp_path: Path
) -> None:
    socket_folder = Path(parse_qs(urlsplit(url).query)["host"][0])
    with ExitStack() as stack:
        folder = socket_folder.parent / "cut"
        folder.mkdir(exist_ok=True)
        proxy = stack.enter_context(
            CuttingProxy(socket_folder / ".s.PGSQL.5432", folder, Cut.AFTER, nth=1)
        )
        parts = urlsplit(url)
        seen_as = urlunsplit(parts._replace(query=f"host={quote(str(folder))}&port=5432"))
        outcome = run("up", "--dir", SQL, "--log-level", "debug", url=seen_as)
        assert proxy.has_cut
    assert silent(outcome, url)
    assert CANARY not in log()
    assert canary.files_with(tmp_path, CANARY) == []


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://me:{CANARY}@localhost:none/clinic",
        f"postgresql://me:{CANARY}@[::1/clinic",
        f"host=localhost password={CANARY} dbname",
        f"postgresql://me:{CANARY}@localhost:1/clinic",
        f"postgresql://me:{CANARY}@localhost/clinic?sslmode={CANARY}",
        CANARY,
    ],
)
@pytest.mark.parametrize("command", ["status", "archive status"])
def test_an_address_is_never_echoed(command: str, address: str) -> None:
    for outcome in (
        run(*command.split(), url=address),
        run(*command.split(), "--json", "--database-url", address),
        run(*command.split(), "--log-level", "debug", "--database-url", address),
    ):
        assert outcome.code in {1, 2}
        assert CANARY not in outcome.out + outcome.err


def test_a_defect_shows_frames_and_no_local_variable(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: object, **__: object) -> None:
        name = CANARY
        raise ValueError(f"row of {name}")

    monkeypatch.setattr("refactorkit.commands.archive_status.look", break_down)
    outcome = run("archive", "status", "--json", "--log-level", "debug", url=url)
    assert outcome.code == 1
    assert "break_down" in outcome.err
    assert silent(outcome, url)


@pytest.mark.skip(reason="a disk that is full needs a file system of its own, and so a superuser")
def test_a_full_disk_names_no_value() -> None:
    """The message of 53100 names a file; it goes the way of every other server error."""


# What our own statements can put into the server's log


@dataclass(frozen=True, kw_only=True)
class Leak:
    """A constraint of somebody's own that a statement of 0011 runs into.

    Attributes:
        direction: of the turn that fails.
        at_10: what is done in version 10 before Up.
        at_11: what is done in version 11, before Down.
        again: what is done in version 10 after Down, before the Up that fails.
    """

    direction: Direction
    at_10: str = ""
    at_11: str = ""
    again: str | None = None


LEAKS = {
    "Up makes subjects": Leak(
        direction=UP,
        at_10="ALTER TABLE public.users ADD CONSTRAINT named CHECK (id < 0) NOT VALID",
    ),
    "Up relinks assessments": Leak(
        direction=UP,
        at_10="ALTER TABLE public.assessments ADD CONSTRAINT named CHECK (id < 0) NOT VALID",
    ),
    "Up gives subjects back": Leak(
        direction=UP,
        at_11="UPDATE public.users SET phone = 'x' WHERE email LIKE '%patient-5@%'",
        again="ALTER TABLE public.users ADD CONSTRAINT named CHECK (id < 0) NOT VALID",
    ),
    "Up gives dependants back": Leak(
        direction=UP,
        at_11="INSERT INTO public.refresh_tokens (user_id, token_hash, expires_at)"
        f" SELECT id, '{CANARY}' || id, now() FROM public.users",
        again="ALTER TABLE public.refresh_tokens ADD CONSTRAINT named CHECK (id < 0) NOT VALID",
    ),
    "Down carries edits home": Leak(
        direction=DOWN,
        at_10="ALTER TABLE public.patients ADD CONSTRAINT named CHECK (age < 0) NOT VALID",
        at_11="UPDATE public.users SET bmi = 11 WHERE email LIKE '%patient-5@%'",
    ),
    "Down shows natives": Leak(
        direction=DOWN,
        at_10="ALTER TABLE public.patients ADD CONSTRAINT named"
        " CHECK (created_at < '2025-01-01') NOT VALID",
        at_11="UPDATE public.users SET created_at = '2026-01-01' WHERE hypertension IS NOT NULL",
    ),
    "Down changes natives": Leak(
        direction=DOWN,
        at_11="ALTER TABLE public.users ADD CONSTRAINT named CHECK (is_active) NOT VALID",
    ),
    "Down relinks assessments": Leak(
        direction=DOWN,
        at_11="ALTER TABLE public.assessments ADD CONSTRAINT named CHECK (id < 0) NOT VALID",
    ),
}


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
def test_what_0011_writes_reaches_no_line_of_the_server_s_log(
    leak: Leak, url: str, log: Callable[[], str]
) -> None:
    down = ("down", "--custodian", CUSTODIAN, "--dir", SQL)
    if leak.at_10:
        tell(url, leak.at_10)
    if leak.direction is DOWN or leak.again is not None:
        assert run("up", "--dir", SQL, url=url).code == 0
        canary.plant_at_11(url)
        if leak.at_11:
            tell(url, leak.at_11)
    if leak.again is not None:
        outcome = run(*down, url=url)
        assert outcome.code == 0, outcome.err
        tell(url, leak.again)
    outcome = run(*(down if leak.direction is DOWN else ("up", "--dir", SQL)), url=url)
    assert outcome.code == 3, outcome.err
    assert "named" in outcome.err
    assert silent(outcome, url)
    assert CANARY not in log()


@pytest.mark.parametrize("again", ["cutover --online --yes --no-preflight", "up"])
def test_what_is_staged_reaches_no_line_of_the_server_s_log(
    again: str, url: str, log: Callable[[], str]
) -> None:
    """Neither from a batch beside version 10, nor from what Up still has to do under its lock."""
    forbid = "ALTER TABLE public.users ADD CONSTRAINT named CHECK (role <> 'member') NOT VALID"
    online = ("cutover", "--online", "--yes", "--dir", SQL)
    if again == "up":
        assert run(*online, "--stage-only", url=url).code == 0
        tell(url, f"INSERT INTO public.patients (name, user_id) VALUES ('{CANARY} New', 900)")
    tell(url, forbid)
    outcome = run(*again.split(), "--dir", SQL, url=url)
    assert outcome.code == 3, outcome.err
    assert "constraint named of users does not let a subject or a native in" in outcome.err
    assert silent(outcome, url)
    assert CANARY not in log()
