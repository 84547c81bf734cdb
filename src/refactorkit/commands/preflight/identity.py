"""Which database this is, and whether it is the one that is meant."""

from collections.abc import Iterator

from refactorkit.commands.preflight.finding import Area, Observation, no_go, note, ok, unknown
from refactorkit.commands.preflight.scene import Check, Expectations, Identity, Scene
from refactorkit.postgres.preflight.looking import Look, UnseenError


def identify(look: Look) -> Identity:
    """Ask the server who it is.

    Raises:
        UnseenError: the server does not say.
    """
    row = look.one("identity")
    try:
        system_identifier: int | None = int(look.one("system_identifier")[0])
    except UnseenError:
        system_identifier = None
    return Identity(
        database=row[0],
        user=row[1],
        address=row[2],
        port=row[3],
        server_version=row[4],
        version_number=row[5],
        cluster_name=row[6],
        is_standby=row[7],
        environment=row[8],
        system_identifier=system_identifier,
    )


def compare(identity: Identity, expect: Expectations) -> Iterator[Observation]:
    """Hold the database against what the operator expects."""
    elsewhere = "Look at the database URL: this is not the database that you mean."
    before = True
    if expect.database is not None and expect.database != identity.database:
        before = False
        yield no_go(
            f'the database is "{identity.database}", and "{expect.database}" is expected', elsewhere
        )
    if expect.environment is not None and expect.environment != identity.environment:
        before = False
        found = f'"{identity.environment}"' if identity.environment is not None else "not set"
        yield no_go(
            f'the environment marker is {found}, and "{expect.environment}" is expected',
            f"{elsewhere} If it is, mark it: ALTER DATABASE ... SET refactorkit.environment = ....",
        )
    if expect.system_identifier is not None:
        if identity.system_identifier is None:
            before = False
            yield unknown(
                "this user may not ask for the cluster's system identifier",
                "Grant EXECUTE ON FUNCTION pg_catalog.pg_control_system(), or leave out"
                " --expect-system-identifier.",
            )
        elif identity.system_identifier != expect.system_identifier:
            before = False
            yield no_go(
                f"the cluster is {identity.system_identifier}, and"
                f" {expect.system_identifier} is expected",
                elsewhere,
            )
    if before:
        expected = expect != Expectations()
        yield ok(
            f'database "{identity.database}" on {_place(identity)}, environment'
            f" {identity.environment or 'not marked'}"
            + (", as expected" if expected else ", nothing was expected")
        )


def _compare(scene: Scene) -> Iterator[Observation]:
    yield from compare(scene.identity, scene.request.expect)


def _marked(scene: Scene) -> Iterator[Observation]:
    if scene.identity.environment is None:
        yield note(
            "the database has no environment marker, so --expect-environment cannot protect others",
            "ALTER DATABASE ... SET refactorkit.environment = 'production'; likewise elsewhere.",
        )
    else:
        yield ok(f"the environment marker is {scene.identity.environment}")


def _place(identity: Identity) -> str:
    if identity.address is None:
        return "a local socket"
    return f"{identity.address} port {identity.port}"


CHECKS = (
    Check(name="identity", area=Area.IDENTITY, run=_compare),
    Check(name="environment_marker", area=Area.IDENTITY, run=_marked, needed=False),
)
