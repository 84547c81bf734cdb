"""`cutover --online` asks preflight before it stages, also where something is staged already."""

from collections.abc import Callable
from typing import Final

import psycopg
import pytest

from refactorkit.commands.online import stage
from refactorkit.commands.preflight import Level
from refactorkit.commands.verdict import Verdict
from tests.support.chain import SQL
from tests.support.cli import run
from tests.support.clinic import open_clinic, tell
from tests.support.dump import pg_dump
from tests.support.online import KilledError, Meanwhile, request
from tests.support.preflights import found, look, no_gos

Connect = Callable[..., psycopg.Connection]
ONLINE: Final = ("cutover", "--online", "--yes")
STALE_TRIGGER: Final = """
CREATE FUNCTION public.stale() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN NEW.cluster := NEW.patient_id; RETURN NEW; END';
CREATE TRIGGER stale BEFORE INSERT ON public.assessments
    FOR EACH ROW EXECUTE FUNCTION public.stale();
"""
"""What only preflight sees: Up's own guards let it pass, and version 11 cannot write any more."""


@pytest.fixture
def url(database_at_10: str) -> str:
    open_clinic(database_at_10)
    return database_at_10


def stage_until(url: str, moment: int) -> bool:
    """Stage, and be killed at a moment; return whether there was such a moment."""
    try:
        stage(request(url), Meanwhile(lambda _moment, _progress: None, stop_at=moment))
    except KilledError:
        return True
    return False


@pytest.mark.parametrize("more", [(), ("--stage-only",)], ids=["whole", "stage only"])
def test_what_preflight_alone_sees_stops_it_before_anything_is_staged(
    url: str, more: tuple[str, ...]
) -> None:
    tell(url, STALE_TRIGGER)
    before = pg_dump(url, exclude_schemas=())
    refused = run(*ONLINE, *more, url=url)
    assert refused.code == 3, refused.err
    assert "Preflight: trigger stale on public.assessments calls public.stale()" in refused.err
    assert "Nothing was changed." in refused.err
    assert pg_dump(url, exclude_schemas=()) == before


@pytest.mark.parametrize("overruled", ["--no-preflight", "--accept=trigger_bodies"])
def test_an_operator_can_leave_it_out_or_overrule_it(url: str, overruled: str) -> None:
    tell(url, STALE_TRIGGER)
    staged = run(*ONLINE, "--stage-only", overruled, "--json", url=url)
    assert (staged.code, staged.document["next"]) == (0, "ready to switch"), staged.err


def test_whatever_is_staged_preflight_passes_counts_the_same_and_says_what_does_not_apply(
    url: str,
) -> None:
    before = look(url).figures
    assert before is not None
    moments = 0
    while stage_until(url, moments):
        moments += 1
        result = look(url)
        assert result.verdict is Verdict.PASS, (moments, no_gos(result))
        assert result.figures is not None
        assert (result.figures.natives, result.figures.pairs) == (before.natives, before.pairs)
    assert moments > 3
    result = look(url, sample=True)
    assert result.verdict is Verdict.PASS, no_gos(result)
    for check in ("owners_of_rows", "placeholders"):
        (one,) = found(result, check)
        assert (one.level, one.says.split(":")[0]) == (Level.NOTE, "does not apply")
    assert "something is staged" in found(result, "forecast")[0].says


@pytest.mark.parametrize("command", [ONLINE, ("cutover", "--yes")], ids=["online", "offline"])
def test_what_is_staged_can_be_switched_with_the_gate_asked_again(
    url: str, command: tuple[str, ...]
) -> None:
    assert run(*ONLINE, "--stage-only", url=url).code == 0
    done = run(*command, "--json", "--dir", SQL, url=url)
    assert done.code == 0, done.err
    assert (done.document["verdict"], done.document["after"]) == ("pass", 11)


def test_a_no_over_what_is_staged_says_that_it_stays(url: str, connect: Connect) -> None:
    """What stands beside it, and an address that a subject yet to be made would have."""
    assert stage_until(url, 4)
    tell(url, STALE_TRIGGER)
    (waiting,) = connect(url).execute(
        "SELECT max(s.id) FROM public.patients AS s"
        " WHERE NOT EXISTS (SELECT FROM archive.patients_map AS m WHERE m.source_id = s.id)"
    ).fetchone() or (None,)
    assert waiting is not None
    tell(
        url,
        "INSERT INTO public.users (email, password_hash)"
        f" VALUES ('patient-{waiting}@unclaimed.invalid', 'x')",
    )
    refused = run(*ONLINE, url=url)
    assert refused.code == 3
    assert "trigger stale on public.assessments" in refused.err
    assert "would meet the same key twice for 1 subjects" in refused.err
    assert "what is staged stays" in refused.err
    asked = run("cutover", "--online", "--status", "--json", url=url)
    assert asked.document["version"] == 10
