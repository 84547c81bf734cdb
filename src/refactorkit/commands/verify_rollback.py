"""Say, on the live database and without changing it, what Down of a refactor would do now."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from refactorkit.commands.chain import Chain
from refactorkit.commands.down import DownChoices
from refactorkit.commands.verdict import Verdict
from refactorkit.errors import NOTHING_CHANGED, RefusedError, UsageError
from refactorkit.mapping.compile import compile_migration
from refactorkit.mapping.model import Mapping
from refactorkit.migrations.files import read_folder
from refactorkit.migrations.model import Direction, Migration
from refactorkit.migrations.parser import parse
from refactorkit.postgres import history, server_errors
from refactorkit.postgres.connection import Connection, connected, fetch_value
from refactorkit.postgres.dsn import Dsn
from refactorkit.postgres.history import TableName, VersionTable
from refactorkit.postgres.preparing import PreparedRows, try_to_see
from refactorkit.postgres.refactors import Turn, last_turns
from refactorkit.postgres.rollback import measure
from refactorkit.postgres.rollback_figures import Measured
from refactorkit.postgres.verification import snapshot

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class RollbackRequest:
    """Which Down is meant, and what its operator would choose.

    Attributes:
        chain: files and database, as ``down`` takes them.
        choices: the operator's answers: they change what Down does.
        run_by: the role that would run Down; None for the one of this connection.
    """

    chain: Chain
    choices: DownChoices = field(default_factory=DownChoices)
    run_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What Down of one refactor would do.

    Attributes:
        turn: its last turn, an Up.
        measured: what was found out; None where the mapping that it ran with cannot be read.
        unknown: sentences about what could not be found out; with one, there is no pass.
        is_prepared: whether ``rollback --online`` left something for it.
        prepared: what that is; None where this user may not look at it.
    """

    turn: Turn
    measured: Measured | None
    unknown: tuple[str, ...]
    is_prepared: bool = False
    prepared: PreparedRows | None = None

    @property
    def verdict(self) -> Verdict:
        """Fail where something would stop Down, pass only where everything is known."""
        if self.measured is not None and not self.measured.passes:
            return Verdict.FAIL
        complete = self.measured is not None and not self.unknown
        return Verdict.PASS if complete else Verdict.INCOMPLETE


@dataclass(frozen=True, kw_only=True)
class RollbackResult:
    """The forecasts of all refactors that are applied, by name."""

    forecasts: tuple[Forecast, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of the verdicts."""
        verdicts = {forecast.verdict for forecast in self.forecasts}
        worst = (Verdict.FAIL, Verdict.INCOMPLETE, Verdict.PASS)
        return next(verdict for verdict in worst if verdict in verdicts)

    @property
    def exit_code(self) -> int:
        """0 where Down would run through, as far as can be known beforehand, else 3."""
        return 0 if self.verdict is Verdict.PASS else 3


def verify_rollback(
    request: RollbackRequest, report: Callable[[str], None] = lambda _name: None
) -> RollbackResult:
    """Measure what Down would do, in one read-only snapshot and under ACCESS SHARE alone.

    Args:
        request: which Down is meant.
        report: is told the name of each refactor before it is measured.

    Raises:
        UsageError: the role that would run Down does not exist.
        RefusedError: no refactor has run here, or none is applied now.
        BusyError: somebody held a lock for too long.
        FailedError: the server refused or was lost.
    """
    chain = request.chain
    name = TableName.parse(chain.table)
    files = read_folder(chain.directory, environ=chain.environ) if chain.directory.is_dir() else ()
    place = chain.dsn.describe()
    doing = f"Measuring a rollback of {place}"
    with (
        connected(chain.dsn) as connection,
        server_errors.explained(doing=doing, state=NOTHING_CHANGED),
    ):
        table = history.find(connection, name)
        with snapshot(connection, pin_times=False):
            _refuse_unknown_role(connection, request.run_by)
            forecasts = []
            for turn in _applied(connection, chain.dsn):
                report(turn.name)
                forecasts.append(_forecast(connection, turn, table, files, request))
    result = RollbackResult(forecasts=tuple(forecasts))
    _log.info("verify.rollback_measured", verdict=result.verdict.value)
    return result


def _forecast(
    connection: Connection,
    turn: Turn,
    table: VersionTable,
    files: tuple[Migration, ...],
    request: RollbackRequest,
) -> Forecast:
    if turn.mapping is None:
        what = (
            "The mapping that Up ran with is of another version of refactorkit: measure with that."
        )
        return Forecast(turn=turn, measured=None, unknown=(what,))
    unknown = [
        *_above(connection, table, turn.mapping.version),
        *_other_file(turn.mapping, files, request.chain),
    ]
    measured = measure(
        connection, turn.mapping, settings=request.choices.settings, run_by=request.run_by
    )
    is_prepared, prepared = try_to_see(connection, turn.mapping)
    return Forecast(
        turn=turn,
        measured=measured,
        unknown=(*unknown, *measured.unknown),
        is_prepared=is_prepared,
        prepared=prepared,
    )


def _applied(connection: Connection, dsn: Dsn) -> list[Turn]:
    """Return the refactors whose last turn was an Up."""
    turns = last_turns(connection)
    if not turns:
        raise RefusedError(
            f"There is nothing to take back: no refactor has run on {dsn.describe()}.",
            state=NOTHING_CHANGED,
            hint="Is this the database that you mean? See refactorkit status.",
        )
    applied = [turn for turn in turns if turn.direction is Direction.UP]
    if not applied:
        names = ", ".join(turn.name for turn in turns)
        raise RefusedError(
            f"There is nothing to take back: Down of {names} has run on {dsn.describe()}"
            " and no Up since.",
            state=NOTHING_CHANGED,
            hint="Is this the database that you mean? See refactorkit status.",
        )
    return applied


def _above(connection: Connection, table: VersionTable, version: int) -> list[str]:
    """Say which versions would have to be taken back before.

    Raises:
        RefusedError: the version table says that the refactor is not applied.
    """
    readable = not table.exists or fetch_value(
        connection,
        "SELECT has_table_privilege(c.oid, 'SELECT') FROM pg_class AS c"
        " WHERE c.relnamespace = to_regnamespace(quote_ident(%s)) AND c.relname = %s",
        (table.schema, table.name),
    )
    if not readable:
        return [f"This user may not read {table.label}: whether Down would be next is not known."]
    found = history.read(connection, table)
    if version not in found.applied:
        raise RefusedError(
            f"The archive says that version {version} is applied, and {table.label} says that it"
            " is not.",
            state=NOTHING_CHANGED,
            hint="Name the right version table with --table; if it is the right one, find out"
            " who changed it.",
        )
    above = found.newest_first[: found.newest_first.index(version)]
    if not above:
        return []
    versions = ", ".join(str(each) for each in above)
    return [f"Version {versions} must be taken back before: what that does was not measured."]


def _other_file(mapping: Mapping, files: tuple[Migration, ...], chain: Chain) -> list[str]:
    """Say where the file that Down would be run from is not the one that is measured."""
    file = next((each for each in files if each.version == mapping.version), None)
    if file is None:
        where = f"There is no file of version {mapping.version} in {chain.directory}"
        return [f"{where}: whether Down would be the one that was measured is not known."]
    measured = parse(compile_migration(mapping).encode(), file=file.file, environ=chain.environ)
    texts = [statement.text for statement in file.down.statements]
    if not file.transaction or texts != [each.text for each in measured.down.statements]:
        what = "is not what this refactorkit compiles from the mapping that Up ran with"
        return [f"{file.file} {what}: what its own Down does was not measured."]
    return []


def _refuse_unknown_role(connection: Connection, role: str | None) -> None:
    if role is not None and not fetch_value(
        connection, "SELECT count(*) FROM pg_roles WHERE rolname = %s", (role,)
    ):
        raise UsageError(
            "The role of --run-by does not exist on this server.",
            state=NOTHING_CHANGED,
            hint="Name the role that would run down.",
        )


def document(result: RollbackResult) -> dict[str, Any]:
    """Return the result as JSON can hold it: names and counts, no value of a row."""
    return {
        "verdict": result.verdict.value,
        "refactors": [_forecast_document(forecast) for forecast in result.forecasts],
    }


def _prepared_document(found: PreparedRows | None) -> dict[str, Any]:
    """Return what is prepared; nulls where this user may not look at it."""
    looked_at = found.looked_at if found else None
    return {
        "looked_at": looked_at.isoformat() if looked_at else None,
        "keys": found.keys if found else None,
        "is_spoilt": found.is_spoilt if found else None,
    }


def _forecast_document(forecast: Forecast) -> dict[str, Any]:
    turn, measured = forecast.turn, forecast.measured or Measured()
    figures = measured.figures
    return {
        "name": turn.name,
        "version": turn.mapping.version if turn.mapping else None,
        "turn": turn.number + 1,
        "verdict": forecast.verdict.value,
        "refusals": [{"text": each.text, "accept": each.accept} for each in measured.refusals],
        "later_refusals": [{"text": each.text} for each in measured.later],
        "obstacles": [
            {
                "table": each.table,
                "constraint": each.constraint,
                "column": each.column,
                "rows": each.rows,
                "text": each.text,
            }
            for each in measured.obstacles
        ],
        "unknown": list(forecast.unknown),
        "prepared": _prepared_document(forecast.prepared) if forecast.is_prepared else None,
        "counts": None
        if figures is None
        else {
            "pairs": figures.pairs,
            "restored": figures.restored,
            "unchanged": figures.unchanged,
            "merged": figures.merged,
            "merged_columns": dict(figures.merged_columns),
            "reowned": figures.reowned,
            "created": figures.created,
            "renumbered": figures.renumbered,
            "withheld_soft": figures.withheld_soft,
            "withheld_hard": figures.withheld_hard,
            "subjects_leaving": figures.leaving,
            "natives": figures.natives,
            "natives_deactivated": figures.deactivated,
            "rights_taken": figures.rights_taken,
            "rights_given": figures.rights_given,
            "references_cleared": dict(figures.cleared),
            "kept_subjects": figures.kept_subjects,
            "kept_natives": figures.kept_natives,
            "links": {
                each.table: {
                    "rows": each.rows,
                    "without_person": each.without_person,
                    "withheld": each.withheld,
                    "relinked": each.relinked,
                    "kept": each.kept,
                }
                for each in figures.links
            },
            "dependants": {
                each.table: {"rows": each.rows, "kept": each.kept} for each in figures.dependants
            },
            "new_tables": dict(figures.new_tables),
        },
        "decisions": [
            {"rule": d.rule, "table": d.table, "column": d.column, "count": d.count}
            for d in measured.decisions
        ],
        "new_readers": list(measured.new_readers),
    }
