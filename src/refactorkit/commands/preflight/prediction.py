"""What Up will take: rows, log, space, seconds, and how long it holds its locks.

The time of each piece of work is measured on this server, on a sample of its own rows, and grows
with the rows that Up has counted. What a sample in memory does not see: the disk's speed under much
log, checkpoints, and other sessions. So it is a forecast for planning a window, not a bound.
"""

from dataclasses import dataclass
from typing import Final

from refactorkit.commands.preflight.figures import Figures
from refactorkit.commands.preflight.scene import Scene
from refactorkit.postgres.preflight import sample as sampling
from refactorkit.postgres.preflight.looking import Look, UnseenError
from refactorkit.postgres.preflight.sample import Sample

SAMPLE_ROWS: Final = 5_000
_RECORD_BYTES: Final = 56
"""What the log has beside a row: headers of the record, of the block and of the row."""
_INDEX_RECORD_BYTES: Final = 80
"""What the log has for an entry in an index that is there already."""
_PAGE_BYTES: Final = 8192


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What Up will take.

    Attributes:
        rows: that it writes: pairs, subjects, relinked rows.
        wal_bytes: the log it writes.
        whole_page_bytes: what comes on top at most, for pages that were not changed since the last
            checkpoint and are logged whole.
        disk_bytes: what the database grows by, and all of that log.
        seconds: from its first statement to its COMMIT.
        lock_seconds: how long it holds its exclusive locks;
            plain Up takes them first and holds them to its end.
        longest_seconds: its longest statement.
        sampled: the rows it rests on.
        sample_seconds: how long the sample took.
    """

    rows: int
    wal_bytes: int
    whole_page_bytes: int
    disk_bytes: int
    seconds: float
    lock_seconds: float
    longest_seconds: float
    sampled: int
    sample_seconds: float


def predict(scene: Scene, *, guard_seconds: float, fires: bool) -> Prediction | UnseenError:
    """Take the sample, after the snapshot is closed, and reckon.

    Args:
        scene: the database.
        guard_seconds: how long the guards took, which Up runs under its locks.
        fires: whether an event trigger would run for the sample's tables.
    """
    figures = scene.figures
    if isinstance(figures, UnseenError):
        return figures
    if not scene.request.sample or scene.identity.is_standby:
        why = "--no-sample" if not scene.request.sample else "a standby has no temporary tables"
        return UnseenError(f"no sample was taken ({why})", "Run preflight with a sample.")
    if scene.staged is not False:
        return UnseenError(
            "no sample was taken: something is staged, and Up does only what is left of it",
            "The switch tells how long its locks were held; so does a drill on a copy (--from).",
        )
    if fires:
        return UnseenError(
            "no sample was taken: an event trigger would run for its temporary tables",
            "Disable the event trigger while preflight runs, if its code may be left out.",
        )
    rebuild = figures.pairs >= 2 * figures.natives
    parts = scene.questions.sample(SAMPLE_ROWS, rebuild=rebuild)
    try:
        sample = sampling.take(
            scene.look.connection, parts, most=SAMPLE_ROWS, links=scene.questions.links
        )
    except UnseenError as unseen:
        return unseen
    return _reckon(scene, figures, sample, rebuild=rebuild, guard_seconds=guard_seconds)


def fires_for_tables(look: Look) -> bool:
    """Tell whether an event trigger of somebody would run for the sample's tables.

    Raises:
        UnseenError: that is not to be seen.
    """
    return any(event.startswith("ddl_") for _, event, _ in look.ask("event_triggers"))


def _reckon(
    scene: Scene, figures: Figures, sample: Sample, *, rebuild: bool, guard_seconds: float
) -> Prediction:
    statements = len(scene.refactor.migration.up.statements)
    pieces = [guard_seconds]
    if sample.rows:
        rows = {"pairs": figures.pairs, "fingerprints": figures.pairs}
        pieces += [
            sample.seconds[name] * rows.get(name, figures.subjects) / sample.rows
            for name in ("pairs", "subjects", "indexes", "fingerprints")
        ]
    for number, table in enumerate(figures.links):
        all_rows, relinked = figures.links[table], figures.relinked[table]
        # Read twice: to find the rows that must be written, and for the new foreign key.
        scanned = min(all_rows, sample.most)
        if scanned:
            scan = sample.seconds[f"scan {number}"] * all_rows / scanned
            pieces += [scan, scan]
        if sample.written[f"relink {number}"]:
            each = sample.seconds[f"relink {number}"] / sample.written[f"relink {number}"]
            pieces.append(each * relinked)
    seconds = sum(pieces) + statements * (sample.trip_seconds + sample.definition_seconds)
    grows = _grows(figures, sample)
    wal = _wal(figures, sample, rebuild=rebuild)
    whole = _whole_pages(figures, sample)
    return Prediction(
        rows=figures.pairs + figures.subjects + sum(figures.relinked.values()),
        wal_bytes=wal,
        whole_page_bytes=whole,
        disk_bytes=grows + wal + whole,
        seconds=seconds,
        lock_seconds=seconds,
        longest_seconds=max(pieces),
        sampled=sample.rows,
        sample_seconds=sample.total_seconds,
    )


def _grows(figures: Figures, sample: Sample) -> int:
    if not sample.rows:
        return 0
    subject = (sample.target_bytes + sample.target_index_bytes) / sample.rows
    pair = (sample.pair_bytes + sample.pair_index_bytes) / sample.rows
    links = sum(
        figures.relinked[table] * size.all_bytes / max(figures.links[table], 1)
        for table, size in sample.links.items()
    )
    return int(figures.subjects * subject + figures.pairs * pair + links)


def _wal(figures: Figures, sample: Sample, *, rebuild: bool) -> int:
    """Return the bytes of log: rows with their headers, and indexes as they are built."""
    if not sample.rows:
        return 0
    kept = 2  # the key, and the unique one; the others are filled row by row where not rebuilt
    row = (sample.target_bytes + sample.target_index_bytes) / sample.rows
    row += _RECORD_BYTES + kept * _INDEX_RECORD_BYTES * (1 if rebuild else 2)
    pair = (sample.pair_bytes + sample.pair_index_bytes) / sample.rows + _RECORD_BYTES
    wal = figures.subjects * row + figures.pairs * pair
    for table, size in sample.links.items():
        relinked = figures.relinked[table]
        rows = max(figures.links[table], 1)
        wal += relinked * (2 * size.row_bytes / rows + size.indexes * _INDEX_RECORD_BYTES)
    return int(wal)


def _whole_pages(figures: Figures, sample: Sample) -> int:
    """Return the bytes of the pages that relinking changes: the old row's, one of each index."""
    return sum(
        min(figures.relinked[table] * (1 + size.indexes) * _PAGE_BYTES, size.all_bytes)
        for table, size in sample.links.items()
        if size.pages_are_logged
    )
