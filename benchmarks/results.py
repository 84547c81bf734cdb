"""What a run of the benchmarks has found, before anything is judged."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.client import Footprint
from benchmarks.laboratory import Sample
from benchmarks.options import Options
from benchmarks.statements import StatementCost
from benchmarks.under_load import OnlineRun
from benchmarks.workloads import Workload
from refactorkit.migrations.model import Direction


@dataclass(frozen=True, kw_only=True)
class Series:
    """The same thing measured round after round.

    Attributes:
        workload: what was measured.
        patients: at which size.
        samples: one a round.
    """

    workload: Workload
    patients: int
    samples: Sequence[Sample]

    @property
    def seconds(self) -> float:
        """The median of the wall clock."""
        return statistics.median(sample.seconds for sample in self.samples)

    @property
    def cpu_seconds(self) -> float | None:
        """The median of the server's CPU time, or None where the system does not tell."""
        known = [s.cpu_seconds for s in self.samples if s.cpu_seconds is not None]
        return statistics.median(known) if len(known) == len(self.samples) else None

    @property
    def wal_bytes(self) -> int:
        """The median of the bytes of write-ahead log."""
        return int(statistics.median(sample.wal_bytes for sample in self.samples))


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What speed depends on, and no name of anything.

    Attributes:
        system: such as "Linux x86_64".
        cores: that this process may use.
        load: of the machine when the run began, a minute's mean.
        python: its version.
        server: PostgreSQL's version.
        settings: PostgreSQL's, by name.
    """

    system: str
    cores: int
    load: float
    python: str
    server: str
    settings: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Results:
    """All measurements of one run.

    Attributes:
        options: what was asked for.
        machine: on what.
        migration: SHA-256 of the refactor's file.
        rows: of the large size, by table, as ``seed`` says.
        series: every workload at every size.
        scanned_rows: that ``scan`` and ``verify`` read.
        footprint: memory and disk, at the large size.
        statements: of the refactor, in the file's order, at the large size.
        online: online cutovers under load, of both sizes, with and without collisions.
        relink_ms: what the colliding assessments cost alone, by number of patients.
    """

    options: Options
    machine: Machine
    migration: str
    rows: Mapping[str, int]
    series: Sequence[Series]
    scanned_rows: int
    footprint: Footprint
    statements: Mapping[Direction, Sequence[StatementCost]]
    online: Sequence[OnlineRun]
    relink_ms: Mapping[int, float]

    def find(self, workload: Workload, patients: int) -> Series:
        """Return the measurements of a workload at a size.

        Raises:
            KeyError: it was not measured there.
        """
        for series in self.series:
            if (series.workload, series.patients) == (workload, patients):
                return series
        raise KeyError(workload, patients)
