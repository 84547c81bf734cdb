"""What a report says: one value, of which page, JSON and CSV tables are views.

It holds no value of any row and no id of anybody: counts, words of the mapping, names of tables and
columns, hashes, salted references, and what operators said of themselves. The JSON Schema in
docs/report.schema.json is made from these classes.
"""

from refactorkit.report.model.archive import (
    Guards,
    Hold,
    Kept,
    Operation,
    Purge,
    Retention,
    Tombstone,
)
from refactorkit.report.model.parts import Word
from refactorkit.report.model.proof import (
    Catalog,
    Change,
    Difference,
    Evidence,
    Reconciled,
    Sample,
    Sampled,
    Signature,
    Tie,
    Tree,
)
from refactorkit.report.model.report import FORMAT, Report, verdict_of
from refactorkit.report.model.run import (
    Authority,
    Check,
    Counted,
    Equation,
    Event,
    Given,
    Identity,
    Made,
    Run,
    Stated,
)
from refactorkit.report.model.values import Cell, ColumnFacts, Decided, Distribution, Rule, Term

__all__ = [
    "FORMAT",
    "Authority",
    "Catalog",
    "Cell",
    "Change",
    "Check",
    "ColumnFacts",
    "Counted",
    "Decided",
    "Difference",
    "Distribution",
    "Equation",
    "Event",
    "Evidence",
    "Given",
    "Guards",
    "Hold",
    "Identity",
    "Kept",
    "Made",
    "Operation",
    "Purge",
    "Reconciled",
    "Report",
    "Retention",
    "Rule",
    "Run",
    "Sample",
    "Sampled",
    "Signature",
    "Stated",
    "Term",
    "Tie",
    "Tombstone",
    "Tree",
    "Word",
    "verdict_of",
]
