"""Exact counts and the equations between them, and the mapping's rules in words."""

from refactorkit.evidence.manifest import Counts
from refactorkit.mapping.model import Mapping, Values, targets_of
from refactorkit.mapping.report_words import way
from refactorkit.postgres.report_logs import TurnEvent
from refactorkit.report import model


def counts(
    now: Counts,
    *,
    turn: TurnEvent,
    living: int,
    linked: dict[str, tuple[int, int]],
    erased: int,
) -> tuple[list[model.Counted], list[model.Equation]]:
    """Return exact counts, and the equations that must hold.

    Args:
        now: rows and pairs as they are.
        turn: the last turn, with what it counted.
        living: subjects in the target.
        linked: rows of each link table, and those of them with a person.
        erased: source rows that went with an erasure since the turn.
    """
    number = now.counted
    found = [model.Counted(name=f"now: {name}", rows=rows) for name, rows in number.items()
             if not name.startswith("in the transaction: ")]  # fmt: skip
    found += [
        model.Counted(name="now: subjects living in the target", rows=living),
        model.Counted(name="now: other rows of the target", rows=number["targets"] - living),
    ]
    for table, (rows, with_person) in linked.items():
        found += [
            model.Counted(name=f"now: rows of {table}", rows=rows),
            model.Counted(name=f"now: rows of {table} with a person", rows=with_person),
        ]
    found.append(model.Counted(name="erased since the turn", rows=erased))
    found += [
        model.Counted(name=f"in the transaction of turn {turn.number}: {name}", rows=rows)
        for name, rows in turn.counts.items()
    ]
    equations = [model.Equation(text=now.equation, holds=now.holds)]
    recorded = turn.counts.get("sources")
    if turn.direction == "up" and recorded is not None:
        equations.append(
            model.Equation(
                text=f"rows moved by turn {turn.number}: {recorded}"
                f" = rows kept now {number['sources']} + erased since {erased}",
                holds=recorded == number["sources"] + erased,
            )
        )
    return found, equations


def rules(mapping: Mapping, unmapped: dict[str, int]) -> list[model.Rule]:
    """Return what becomes of each column, in the order of the mapping."""
    found = []
    for column in mapping.column:
        forward, back = way(column)
        terms = column.forward if isinstance(column, Values) else {}
        found.append(
            model.Rule(
                source=column.source,
                target=list(targets_of(column)),
                codec=column.codec,
                forward=forward,
                back=back,
                terms=[model.Term(raw=raw, image=image) for raw, image in terms.items()],
                without_image=unmapped.get(column.source),
            )
        )
    return found
