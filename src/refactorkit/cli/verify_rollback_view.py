"""How ``verify --rollback`` looks on paper: what would stop Down first, then what it would do."""

from rich.console import Console

from refactorkit.cli.render import table
from refactorkit.commands.verdict import Verdict
from refactorkit.commands.verify_rollback import Forecast, RollbackResult
from refactorkit.postgres.decisions import DecisionCount, total
from refactorkit.postgres.preparing import PreparedRows
from refactorkit.postgres.rollback_figures import Figures, Refusal, sentence_on_readers

_WORDS = {
    Verdict.PASS: "PASS: nothing is known that would stop Down.",
    Verdict.FAIL: "FAIL: Down would be stopped. Nothing was changed.",
    Verdict.INCOMPLETE: "INCOMPLETE: not everything is known. Nothing was changed.",
}


def print_result(console: Console, result: RollbackResult) -> None:
    """Print one part for each refactor, and the verdict."""
    for forecast in result.forecasts:
        _forecast(console, forecast)
    console.print(_WORDS[result.verdict])


def _forecast(console: Console, forecast: Forecast) -> None:
    turn, measured = forecast.turn, forecast.measured
    console.print(f"{turn.name}: what Down would do now, as turn {turn.number + 1}.")
    if measured is not None:
        for refusal in measured.refusals:
            console.print(f"  refuses: {_refusal(refusal)}", soft_wrap=True)
        for refusal in measured.later:
            console.print(f"  and then: {_refusal(refusal)}", soft_wrap=True)
        for obstacle in measured.obstacles:
            console.print(f"  fails: {obstacle.text}", soft_wrap=True)
    if forecast.is_prepared:
        console.print(f"  {_prepared(forecast.prepared)}", soft_wrap=True)
    for sentence in forecast.unknown:
        console.print(f"  unknown: {sentence}", soft_wrap=True)
    if measured is None or measured.figures is None:
        return
    _figures(console, measured.figures)
    _decisions(console, measured.decisions)
    if measured.new_readers:
        console.print(sentence_on_readers(measured.new_readers), soft_wrap=True)


def _prepared(found: PreparedRows | None) -> str:
    if found is None:
        return "prepared: something is, and this user may not look at it."
    if found.looked_at is None:
        return "prepared: a preparation was stopped; Down would look at every row."
    if found.is_spoilt:
        return (
            "prepared: what rollback --online found out cannot be relied on any more; Down would"
            " look at every row."
        )
    return f"prepared: Down would look at the rows of {found.keys:,} written-down keys alone."


def _refusal(refusal: Refusal) -> str:
    """Return the sentence; the guards' own text names the option in most cases."""
    option = f"--accept {refusal.accept}"
    if refusal.accept is None or option in refusal.text:
        return refusal.text
    return f"{refusal.text} ({option})"


def _figures(console: Console, figures: Figures) -> None:
    rows = table("what", "rows")
    rows.add_row("come back", f"{figures.restored:,}")
    rows.add_row("  as they were", f"{figures.unchanged:,}")
    rows.add_row("  with an edit carried home", f"{figures.merged:,}")
    for column, count in figures.merged_columns.items():
        rows.add_row(f"    {column}", f"{count:,}")
    rows.add_row("  to the custodian", f"{figures.reowned:,}")
    rows.add_row("are created for natives", f"{figures.created:,}")
    rows.add_row("  under a new id", f"{figures.renumbered:,}")
    rows.add_row("are left out: marked as deleted", f"{figures.withheld_soft:,}")
    rows.add_row("are left out: user deleted", f"{figures.withheld_hard:,}")
    rows.add_row("subjects leave", f"{figures.leaving:,}")
    rows.add_row("  kept, because they differ", f"{figures.kept_subjects:,}")
    rows.add_row("natives stay", f"{figures.natives:,}")
    rows.add_row("  kept, because they differ", f"{figures.kept_natives:,}")
    rows.add_row("  may not log in any more", f"{figures.deactivated:,}")
    rows.add_row("  lose rights that were taken away", f"{figures.rights_taken:,}")
    rows.add_row("  do not keep rights that were given", f"{figures.rights_given:,}")
    for column, count in figures.cleared.items():
        rows.add_row(f"  lose their {column}", f"{count:,}")
    for link in figures.links:
        rows.add_row(link.table, f"{link.rows:,}")
        rows.add_row("  get another number", f"{link.relinked:,}")
        rows.add_row("  are withheld", f"{link.withheld:,}")
        rows.add_row("  of nobody", f"{link.without_person:,}")
        rows.add_row("  kept, because they differ", f"{link.kept:,}")
    for each in figures.dependants:
        rows.add_row(each.table, f"{each.rows:,}")
        rows.add_row("  follow into the archive", f"{each.kept:,}")
    for name, count in figures.new_tables.items():
        rows.add_row(f"{name}, moved to the archive", f"{count:,}")
    console.print(rows)


def _decisions(console: Console, decisions: tuple[DecisionCount, ...]) -> None:
    console.print(f"Decisions: {total(decisions):,}.")
    if not decisions:
        return
    rows = table("rule", "of", "rows")
    for each in decisions:
        rows.add_row(each.rule, each.place, f"{each.count:,}")
    console.print(rows)
