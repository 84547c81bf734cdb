"""What was compared row by row, and the people that this is about: referred to, never named."""

from refactorkit.commands.archive_status import Refactor as Status
from refactorkit.commands.verify import Verification
from refactorkit.mapping.report_people import sampled
from refactorkit.mapping.report_rows import Rows
from refactorkit.postgres import report_counts
from refactorkit.postgres.connection import Connection
from refactorkit.postgres.verification import Outcome
from refactorkit.report import model


def reconciliation(
    connection: Connection, rows: Rows, found: Verification, *, allow_edits: bool
) -> list[model.Reconciled]:
    """Return the checks of every row and field, with references in place of ids."""
    return [
        model.Reconciled(
            name=outcome.name,
            rows=outcome.rows,
            differences=outcome.differences,
            edits_possible=outcome.is_edit,
            verdict="pass"
            if not outcome.differences or (allow_edits and outcome.is_edit)
            else "fail",
            kinds=_kinds(connection, rows, outcome),
        )
        for outcome in found.outcomes
    ]


def sample(connection: Connection, rows: Rows, *, seed: str, people: int) -> model.Sample | None:
    """Draw some people; None where nobody can be referred to."""
    found = report_counts.sample(connection, rows, seed=seed, people=people)
    if not found:
        return None
    return model.Sample(
        seed=seed,
        columns=list(sampled(rows.mapping)),
        people=[
            model.Sampled.model_validate({"reference": reference, "states": states})
            for reference, states in found
        ],
    )


def holds(connection: Connection, rows: Rows, status: Status) -> list[model.Hold]:
    """Return the holds in force, with references in place of ids."""
    ids = [str(hold.source_id) for hold in status.holds]
    known = report_counts.references(connection, rows, ids, of_source=True)
    return [
        model.Hold(
            number=hold.number,
            at=hold.at.isoformat(),
            by=hold.said_by,
            reason=hold.reason,
            reference=known.get(str(hold.source_id)),
        )
        for hold in status.holds
    ]


def _kinds(connection: Connection, rows: Rows, outcome: Outcome) -> list[model.Difference]:
    groups: dict[tuple[str, str, str], list[str]] = {}
    for each in outcome.listed:
        # What an erased person's id would tell is in no report.
        what = each.what.partition(": ")[0]
        groups.setdefault((each.table, each.column, what), []).append(each.row_id)
    found = []
    for (table, column, what), ids in groups.items():
        known: dict[str, str] = {}
        if table in (rows.source_table, rows.target_table):
            is_source = table == rows.source_table
            known = report_counts.references(connection, rows, ids, of_source=is_source)
        found.append(
            model.Difference(
                table=table,
                column=column,
                what=what,
                listed=len(ids),
                references=[known[each] for each in ids if each in known],
            )
        )
    return found
