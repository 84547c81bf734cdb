"""Exports, imports and hardening of the archive, as its log of operations has them, in words.

The log is read as it stands, whoever wrote it: what is not what this version writes is left out.
"""

from collections.abc import Sequence
from typing import Any

from refactorkit.postgres.operations import Kind, Operation
from refactorkit.report import model

_HARDENED = (Kind.HARDEN, Kind.HARDEN_OFF)
_TITLES = {
    Kind.EXPORT: "archive exported",
    Kind.IMPORT: "archive imported",
    Kind.HARDEN: "archive hardened",
    Kind.HARDEN_OFF: "hardening taken away",
}


def operations(found: Sequence[Operation]) -> list[model.Operation]:
    """Return every record, by number."""
    return [
        model.Operation(
            number=each.number,
            at=each.at,
            kind=each.kind,
            by=each.run_by,
            transaction_id=each.transaction_id,
            digest=each.digest,
            says=_says(each),
            undone=[
                f"{step}: {reason}"
                for step, outcome, reason in _steps(each.facts)
                if outcome == "refused"
            ],
        )
        for each in found
    ]


def events(found: Sequence[Operation]) -> list[model.Event]:
    """Return every record as the timeline has it."""
    return [
        model.Event(
            at=each.at,
            what=_title(each),
            by=each.run_by,
            details=f"operation {each.number}, {_says(each)}",
        )
        for each in found
    ]


def _title(operation: Operation) -> str:
    kind = _kind(operation)
    return operation.kind if kind is None else _TITLES[kind]


def _says(operation: Operation) -> str:
    kind, facts = _kind(operation), operation.facts
    if kind in _HARDENED:
        did = [f"{step} {outcome}" for step, outcome, _ in _steps(facts)]
        said = [
            f"{name} {facts[name]}"
            for name in ("owner", "reader", "eraser", "runner")
            if _is_text(facts.get(name))
        ]
        return _joined(*did, *said)
    if kind is None:
        return "of a kind that this version of refactorkit does not know"
    carried = _joined(
        _counted(facts, "tables", "tables"),
        _counted(facts, "rows", "rows"),
        f"version {facts['database_version']}" if _is_number(facts, "database_version") else "",
        f"for whoever has the {facts['recipient']}" if _is_text(facts.get("recipient")) else "",
    )
    if kind is Kind.EXPORT:
        return carried
    left_out = facts.get("rights_left_out")
    roles = [role for role in left_out if _is_text(role)] if isinstance(left_out, list) else []
    return _joined(
        carried,
        f"exported from {facts['exported_from']}" if _is_text(facts.get("exported_from")) else "",
        f"at {facts['exported_at']}" if _is_text(facts.get("exported_at")) else "",
        f"without the rights of {' and '.join(roles)}" if roles else "",
    )


def _kind(operation: Operation) -> Kind | None:
    return next((kind for kind in Kind if kind.value == operation.kind), None)


def _steps(facts: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return step, outcome and reason of each step of hardening."""
    steps = facts.get("steps")
    found = []
    for each in steps if isinstance(steps, list) else ():
        match each:
            case {"step": str(step), "outcome": str(outcome), "reason": str(reason)}:
                found.append((step, outcome, reason))
    return found


def _counted(facts: dict[str, Any], name: str, of: str) -> str:
    return f"{facts[name]:,} {of}" if _is_number(facts, name) else ""


def _is_number(facts: dict[str, Any], name: str) -> bool:
    return type(facts.get(name)) is int


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
