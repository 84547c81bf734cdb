"""The questions of which the verdict is made: what was not asked, or not answered, is no pass."""

from collections.abc import Sequence
from typing import Final

from refactorkit.commands.archive_status import Refactor as Status
from refactorkit.evidence.tombstone import SignatureState, TombstoneSignature
from refactorkit.report import model
from refactorkit.report.model import Check, Word

_GUARDS: Final[dict[str, tuple[Word, str, str]]] = {
    "on": ("pass", "The guards of the archive stand, all of them.", ""),
    "partly": (
        "fail",
        "Some of the archive's guards are off.",
        "See refactorkit archive status; refactorkit archive harden makes them again.",
    ),
    # They are an operator's choice: the question is whether one that was made is off.
    "none": ("pass", "None were made, so none is off.", "refactorkit archive harden makes them."),
}
_HAND_IN: Final = {
    "preflight": ("Preflight", "--preflight FILE, of preflight --json before the cutover"),
    "drill": ("Drill", "--drill FILE, of drill --json"),
    "operation": ("The operation", "--operation FILE, of cutover --json or rollback --json"),
}


def evidence(found: model.Evidence | None, *, unreadable: str, named: bool) -> Check:
    """Was signed evidence verified, with a key that was given, and was nothing changed?

    Args:
        found: what was verified; None: there was none.
        unreadable: why it could not be; empty where there simply is none.
        named: whether a file was given, and not the archive's copy used.
    """
    verdict: Word = "incomplete"
    do = "refactorkit audit anchor makes evidence; then give it with --evidence and --key."
    if found is None:
        says = unreadable or "There is no evidence: whether anything was changed cannot be told."
        verdict = "fail" if unreadable else "incomplete"
    elif not found.signatures:
        says = "No public key was given: the signature was not verified."
        do = "Give --key FILE for each key that must have signed."
        verdict = "fail" if found.verdict == "fail" else verdict
    elif found.verdict == "pass":
        rows = sum(tree.verified or 0 for tree in found.trees)
        says = f"{rows:,} leaves were verified; nothing differs from what was signed."
        if named:
            verdict, do = "pass", ""
        else:
            says += " It was compared with the copy that the archive itself keeps."
            do = "Give --evidence FILE: the file that lay out of reach of the database's owner."
    else:
        differences = sum(tree.differences or 0 for tree in found.trees) + len(found.changes)
        invalid = sum(not each.valid for each in found.signatures)
        says = f"{differences:,} differences, {invalid} signatures that are not valid or missing."
        if found.verdict == "incomplete":
            says = "Not everything that was signed could be compared."
        verdict = found.verdict
        do = "refactorkit audit verify names each."
    return Check(name="evidence", title="Signed evidence", verdict=verdict, says=says, do=do)


def reconciliation(found: Sequence[model.Reconciled]) -> Check:
    """Do archive, pairs and living tables agree, every row and field?"""
    failed = [each for each in found if each.verdict == "fail"]
    rows = sum(each.rows for each in found)
    differences = sum(each.differences for each in found)
    verdict: Word = "pass"
    says, do = f"{rows:,} rows were compared, {differences:,} differences.", ""
    if not found:
        verdict = "incomplete"
        says = "The mapping is of another version of refactorkit: nothing could be compared."
        do = "Use the version that ran the refactor."
    elif failed:
        verdict = "fail"
        says += f" Failed: {', '.join(each.name for each in failed)}."
        do = "refactorkit verify names each row; --allow-edits passes over the application's work."
    return Check(
        name="reconciliation", title="Every row and field", verdict=verdict, says=says, do=do
    )


def equations(found: Sequence[model.Equation]) -> Check:
    """Do the counts add up?"""
    broken = [each.text for each in found if not each.holds]
    return Check(
        name="equations",
        title="The counts add up",
        verdict="fail" if broken else "pass",
        says=f"Not equal: {'; '.join(broken)}." if broken else f"{len(found)} equations hold.",
        do="refactorkit verify names the rows." if broken else "",
    )


def ties(found: model.Evidence | None) -> Check:
    """Was the evidence made of exactly what the transaction left behind?"""
    states = {tie.state for tie in found.ties} if found else set()
    is_same = states == {"same"}
    says = "The evidence is of exactly what the transaction left behind."
    if found is None:
        says = "There is no evidence that could be tied to the transaction."
    elif not is_same:
        says = (
            f"Between the transaction and its evidence: {', '.join(sorted(states)) or 'unknown'}."
        )
    return Check(
        name="ties",
        title="Evidence and transaction",
        verdict="pass" if is_same else "incomplete",
        says=says,
        do="" if is_same else "Make evidence right after the turn, before the application writes.",
    )


def identity(found: model.Identity, run: model.Run) -> Check:
    """Is it known which database this is, and which file ran?"""
    missing = []
    if found.system_identifier is None:
        missing.append("the cluster's system identifier (pg_read_all_settings or a superuser)")
    if found.environment is None:
        missing.append("the environment (ALTER DATABASE … SET refactorkit.environment)")
    if run.migration_checksum is None:
        missing.append("the checksum of the migration that ran (refactorkit up records it)")
    return Check(
        name="identity",
        title="Which database, which file",
        verdict="incomplete" if missing else "pass",
        says=f"Not known: {'; '.join(missing)}." if missing else "All of it is known.",
        do="Say it, for the next turn." if missing else "",
    )


def authority(found: model.Authority, run_by: str) -> Check:
    """Is it known who asked and who allowed it, and was that somebody else?"""
    said = {
        "ticket": found.ticket.value,
        "requester": found.requester.value,
        "approver": found.approver.value,
    }
    missing = [name for name, value in said.items() if not value]
    operators = {value.casefold() for value in (found.operator.value, run_by) if value}
    verdict: Word = "pass"
    says, do = "Asked for, and allowed by somebody who is not the operator.", ""
    if found.approver.value and found.approver.value.casefold() in operators:
        verdict = "fail"
        says = "The approver is the operator."
        do = "Somebody else must have approved it."
    elif missing:
        verdict = "incomplete"
        says = f"Nobody said: {', '.join(missing)}."
        do = "Say it with --ticket, --requester, --approver; better, to audit anchor."
    return Check(name="authority", title="Authority", verdict=verdict, says=says, do=do)


def document(kind: str, found: Sequence[model.Given], *, turn: int, about: Sequence[int]) -> Check:
    """Was such a document handed in, does it say pass, and does it fit this database?

    Args:
        kind: of the document.
        found: those that were handed in.
        turn: the last turn, which the report of an operation should be about.
        about: the turns that those are about.
    """
    title, what = _HAND_IN[kind]
    verdict: Word = "pass"
    says, do = f"{len(found)} on record, and each says pass.", ""
    if not found:
        verdict, says, do = "incomplete", "None is on record.", f"Give {what}."
    elif any(each.matches is False for each in found):
        files = ", ".join(each.file for each in found if each.matches is False)
        verdict = "fail"
        says = f"Not about this database, or not what its archive recorded: {files}."
        do = "Give the document of this database."
    elif any(each.verdict != "pass" for each in found):
        bad = [each for each in found if each.verdict != "pass"]
        verdict = "fail" if any(each.verdict == "fail" for each in bad) else "incomplete"
        says = f"Not a pass: {', '.join(each.file for each in bad)}."
        do = "Read what it says, below."
    elif kind == "operation" and turn not in about:
        verdict = "incomplete"
        says = f"None of them is about turn {turn}, the last one."
        do = f"Give {what}."
    return Check(name=kind, title=title, verdict=verdict, says=says, do=do)


def guards(state: str) -> Check:
    """Do the guards stand that were made?"""
    unknown: tuple[Word, str, str] = ("incomplete", "Whether guards stand is not known.", "")
    verdict, says, do = _GUARDS.get(state, unknown)
    return Check(name="guards", title="Guards that were made", verdict=verdict, says=says, do=do)


def tombstones(found: Sequence[TombstoneSignature], *, within_evidence: bool) -> Check:
    """Is every tombstone signed, by itself or within evidence, and as it was then?

    Args:
        found: what became of the signature of each.
        within_evidence: whether verified evidence holds all of them as they are.
    """
    counts = {state: sum(each.state is state for each in found) for state in SignatureState}
    forged, unverified = counts[SignatureState.FORGED], counts[SignatureState.UNVERIFIED]
    unsigned = counts[SignatureState.UNSIGNED]
    verdict: Word = "pass"
    says = f"{counts[SignatureState.SIGNED]} of {len(found)} tombstones are signed by a key given"
    says = f"{says}; {unsigned} were not signed one by one." if unsigned else f"{says}."
    do = ""
    if not found:
        says = "There are no tombstones: nobody was erased."
    elif forged:
        verdict = "fail"
        says = f"{forged} of {len(found)} tombstones are not what was signed."
        do = "refactorkit audit verify names each."
    elif unverified:
        verdict = "incomplete"
        says = f"{unverified} of {len(found)} tombstones are signed, and no key was given."
        do = "Give --key FILE, or --tombstone-key FILE where another key signs them."
    elif unsigned and not within_evidence:
        verdict = "incomplete"
        do = "Compare them with the requests; then evidence (audit anchor) signs them all."
    elif unsigned:
        says = f"{says} The evidence holds them all as they are."
    return Check(name="tombstones", title="Erasures", verdict=verdict, says=says, do=do)


def way_back(status: Status) -> Check:
    """Is everything there that the way back needs?"""
    verdict: Word = "pass"
    says, do = "What a rollback needs is there, as far as a quick look shows.", ""
    if status.given_up is not None:
        verdict, says = "fail", "The rollback was given up, and its archive destroyed."
    elif status.stops:
        verdict, says = "fail", f"A rollback would stop: {'; '.join(status.stops)}."
        do = "See refactorkit verify --rollback."
    return Check(name="way_back", title="The way back", verdict=verdict, says=says, do=do)


def retention(found: model.Retention) -> Check:
    """Is it said how long the archive is kept?"""
    is_said = found.destroy_from is not None
    return Check(
        name="retention",
        title="Retention",
        verdict="pass" if is_said else "incomplete",
        says=f"Kept for {found.period}; may be destroyed from {found.destroy_from} on."
        if is_said
        else "No period is set, or it cannot be read: there is no date of destruction.",
        do="" if is_said else "ALTER DATABASE … SET refactorkit.retention = '6 years'.",
    )


def sample(found: model.Sample | None) -> Check:
    """Could people be drawn for human eyes, and is each as mapped?"""
    verdict: Word = "pass"
    says, do = "", ""
    if found is None:
        verdict = "incomplete"
        says = "Nobody was drawn: there are no salts to refer by, or nobody is in both tables."
        do = "In the new version, after audit anchor, people can be drawn."
    else:
        differ = sum("differs" in each.states for each in found.people)
        says = f"{len(found.people)} people were drawn; {differ} of them differ from the mapping."
        if differ:
            verdict, do = "incomplete", "Look at whether these were edited by the application."
    return Check(name="sample", title="Sample", verdict=verdict, says=says, do=do)
