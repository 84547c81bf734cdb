"""What people said, who is asked to believe it, and how a reader checks it."""

from typing import Final

from refactorkit.commands.audit.report import given
from refactorkit.commands.audit.report.request import ReportRequest
from refactorkit.commands.audit.verify import AuditVerifyResult
from refactorkit.errors import NOTHING_CHANGED, UsageError
from refactorkit.report import model

LIMITATIONS: Final = """
The report is of one moment: what the database held when it was made. Evidence was verified in a \
snapshot of its own, right before.
It is not signed. Whoever doubts it runs the commands that it begins with.
The field-level comparison rests on the mapping that the archive has stored; that this is the one \
that ran is what the evidence shows.
Documents that were handed in are believed only as far as the archive says the same; a drill ran \
elsewhere, and its word alone stands for it.
Names, tickets and reasons are what people typed in; nobody checked who they are.
Counts of values that are missing or without an image are exact, however few; classes of fewer \
than five people are hidden. Two reports of different days, held side by side, can tell of single \
people what neither tells alone.
Erasure does not reach the write-ahead log, backups, dead rows until VACUUM, exports, or texts \
that somebody wrote elsewhere.
""".strip().splitlines()


def documents(
    request: ReportRequest, here: given.Here
) -> tuple[list[model.Given], list[tuple[model.Given, int | None]]]:
    """Return all documents, and those of operations with the turn that each is about."""
    about = [
        (given.operation(path, here), given.turn_of(path, here)) for path in request.operations
    ]
    return [
        *(given.preflight(path, here) for path in request.preflights),
        *(given.drill(path, here) for path in request.drills),
        *(document for document, _ in about),
    ], about


def authority(request: ReportRequest, verified: AuditVerifyResult | None) -> model.Authority:
    """Take what the evidence says, and where it is silent what the options say.

    Raises:
        UsageError: they contradict each other.
    """
    signed = verified.manifest.authority if verified else None

    def stated(name: str, option: str | None) -> model.Stated:
        value: str | None = getattr(signed, name) if signed else None
        if value and option and option != value:
            raise UsageError(
                f"The evidence names another {name} than --{name} does.",
                state=NOTHING_CHANGED,
                hint=f"Leave --{name} away: what was signed is taken.",
            )
        if value:
            return model.Stated(value=value, source="evidence")
        if option:
            return model.Stated(value=option, source="option")
        return model.Stated(value=None, source="not said")

    return model.Authority(
        ticket=stated("ticket", request.ticket),
        requester=stated("requester", request.requester),
        approver=stated("approver", request.approver),
        operator=stated("operator", None),
    )


def commands(request: ReportRequest) -> list[str]:
    """Return the commands by which a reader verifies it; no place of this machine is in them."""
    evidence = request.evidence.name if request.evidence else "EVIDENCE.json"
    keys = [path.name for path in request.keys] or ["OPERATOR.key.pub"]
    options = " ".join(f"--key {name}" for name in keys)
    edits = " --allow-edits" if request.allow_edits else ""
    return [
        "export DATABASE_URL=postgresql://READER@HOST/DATABASE",
        f"refactorkit audit verify {evidence} {options}{edits}",
        f"refactorkit verify{edits}",
    ]


def summary(asked: list[model.Check]) -> str:
    """Return the verdict in one sentence."""
    count = {word: sum(each.verdict == word for each in asked) for word in ("pass", "fail")}
    left = len(asked) - count["pass"] - count["fail"]
    return (
        f"{count['pass']} of {len(asked)} questions were answered with yes,"
        f" {count['fail']} with no, {left} could not be answered."
    )
