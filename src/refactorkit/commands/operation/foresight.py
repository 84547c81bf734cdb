"""What an operation asks of the live database before it tries anything: preflight, the meter."""

from collections.abc import Mapping

from refactorkit.commands.chain import Session, reading
from refactorkit.commands.operation.model import Asked, Forecast, Gate
from refactorkit.commands.preflight import Level, PreflightRequest, preflight
from refactorkit.commands.verdict import Verdict
from refactorkit.mapping.embedded import embedded_mapping
from refactorkit.migrations.model import Direction
from refactorkit.migrations.plan import Step
from refactorkit.postgres.refactors import Turn, last_turns
from refactorkit.postgres.rollback import measure
from refactorkit.postgres.rollback_figures import Figures, sentence_on_readers
from refactorkit.postgres.verification import snapshot


def preflight_gate(accept: tuple[str, ...]) -> Gate:
    """Return a gate that asks every check of preflight but the timed sample.

    Where other files have to run first, its tables are not what they will be: then it says nothing,
    and the guards of the SQL look alone.

    Args:
        accept: names of checks that the operator overrules.
    """

    def look(session: Asked, steps: tuple[Step, ...]) -> tuple[str, ...]:
        if embedded_mapping(steps[0].migration) is None:
            return ()
        result = preflight(
            PreflightRequest(
                chain=session.chain,
                accept=accept,
                sample=False,
                besides=session.connection.info.backend_pid,
            )
        )
        match result.verdict:
            case Verdict.PASS:
                return ()
            case Verdict.FAIL:
                stands = result.of(Level.NO_GO)
            case Verdict.INCOMPLETE:
                stands = tuple(each for each in result.of(Level.UNKNOWN) if each.needed)
        return tuple(f"Preflight: {each.says}." for each in stands)

    return look


def forecast_of_down(
    session: Session, steps: tuple[Step, ...], settings: Mapping[str, str]
) -> Forecast | None:
    """Count what Down of a refactor would do now, by queries alone; a ``Meter``.

    None where other files are to be taken back before, or where the archive is of another version.
    """
    mapping = embedded_mapping(steps[0].migration)
    if mapping is None:
        return None
    with reading(), snapshot(session.connection, pin_times=False):
        turn = _applied(last_turns(session.connection), mapping.name)
        if turn is None or turn.mapping is None:
            return None
        measured = measure(session.connection, turn.mapping, settings=settings)
    decisions: dict[str, int] = {}
    for each in measured.decisions:
        decisions[each.rule] = decisions.get(each.rule, 0) + each.count
    stops = [each.text for each in measured.refusals] + [each.text for each in measured.obstacles]
    return Forecast(
        refusals=tuple(f"{text}." for text in stops),
        counts={} if measured.figures is None else _counts(measured.figures),
        decisions=decisions,
        remarks=(sentence_on_readers(measured.new_readers),) if measured.new_readers else (),
    )


def _applied(turns: tuple[Turn, ...], name: str) -> Turn | None:
    return next((t for t in turns if t.name == name and t.direction is Direction.UP), None)


def _counts(figures: Figures) -> dict[str, int]:
    return {
        "restored as they were": figures.unchanged,
        "restored with edits": figures.merged,
        "given to the custodian": figures.reowned,
        "created for natives": figures.created,
        "left out, deleted for good": figures.withheld_hard,
        "left out until the next cutover, softly deleted": figures.withheld_soft,
        "kept from logging in": figures.deactivated,
    }
