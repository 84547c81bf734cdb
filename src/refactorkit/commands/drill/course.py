"""The drill itself: cutover, rollback, cutover, writes, rollback, cutover, and what is compared."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from refactorkit.commands import down as going_down
from refactorkit.commands import seed as seeding
from refactorkit.commands import up as going_up
from refactorkit.commands import verify as verifying
from refactorkit.commands.chain import Chain, RunResult
from refactorkit.commands.drill.casting import cast
from refactorkit.commands.drill.expectation import Expectation, Ids, Writes
from refactorkit.commands.drill.ground import Ground, restore
from refactorkit.commands.drill.model import AFTER, BEFORE, DrillRequest
from refactorkit.commands.drill.notary import Notary
from refactorkit.commands.drill.people import PATIENTS, USERS, Crossing
from refactorkit.commands.drill.rules import DESIGN_MAPS, ValueMaps
from refactorkit.commands.drill.scenario import Scenario
from refactorkit.commands.drill.states import Observer, State
from refactorkit.commands.drill.steps import Outcome, Recorder
from refactorkit.commands.drill.writer import Writer
from refactorkit.commands.verdict import Verdict
from refactorkit.errors import RefusedError
from refactorkit.postgres import history
from refactorkit.postgres.connection import connected
from refactorkit.postgres.drill_application import Application
from refactorkit.postgres.drill_dressing import dress
from refactorkit.postgres.drill_expected import missing_decisions
from refactorkit.postgres.drill_people import Pairs, has_turned_before, make_pairs, read_rows
from refactorkit.postgres.history import TableName
from refactorkit.postgres.refactors import last_turns
from refactorkit.postgres.throwaway import with_setting
from refactorkit.postgres.verification import Difference

_COPY_ONLY: Final = ("copy",)
_MADE_UP_ONLY: Final = ("seed", "dressing")
PLAN: Final[Mapping[str, str]] = {
    "copy": "Copy the database",
    "chain": f"Migrate to version {BEFORE}",
    "seed": "Make up data",
    "dressing": "Add comments, grants, triggers",
    "before": f"Note version {BEFORE}",
    "up": "Cutover",
    "people": "Everything is where the design says",
    "verify": "Archive and living tables agree",
    "evidence": "Evidence of the cutover is signed",
    "evidence-rows": "Evidence and database agree",
    "down": "Rollback, nothing written",
    "undo-rows": f"Version {BEFORE} is as before: rows",
    "undo-catalog": f"Version {BEFORE} is as before: catalog",
    "up-again": "Cutover again",
    "writes": "The application writes",
    "after": f"Note version {AFTER}",
    "custodian": "Rollback without a custodian is refused",
    "down-after-writes": "Rollback with the writes",
    "rollback-rows": f"Version {BEFORE} is as it must be: rows",
    "rollback-catalog": f"Version {BEFORE} is as it must be: catalog",
    "rollback-decisions": "What gave way is written down",
    "verify-rollback": "Archive and living tables agree",
    "up-once-more": "Cutover once more",
    "redo-rows": f"Version {AFTER} is as it was: rows",
    "redo-catalog": f"Version {AFTER} is as it was: catalog",
    "verify-redo": "Archive and living tables agree",
    "sequences": "No sequence went backward",
}


def plan(request: DrillRequest) -> list[tuple[str, str]]:
    """Return name and title of each step, in order."""
    unwanted = _COPY_ONLY if request.copy_of is None else _MADE_UP_ONLY
    return [(name, title) for name, title in PLAN.items() if name not in unwanted]


@dataclass(kw_only=True)
class Course:
    """One drill on its ground.

    Attributes:
        request: what is asked.
        ground: where.
        observer: looks at the database.
        recorder: keeps how the steps end.
        notary: makes evidence of the first cutover.
        counts: of people and rows, by name.
        scenario: what the application wrote; None before it did.
    """

    request: DrillRequest
    ground: Ground
    observer: Observer
    recorder: Recorder
    notary: Notary
    counts: dict[str, int] = field(default_factory=dict)
    scenario: Scenario | None = None
    _ids: Ids = field(default_factory=lambda: Ids(users=0, patients=0, known=False))
    _maps: ValueMaps = DESIGN_MAPS
    _custodian: str | None = None

    def run(self) -> None:
        """Go through all steps.

        Raises:
            Stopped: a step failed that the next ones need.
        """
        act, check = self.recorder.act, self.recorder.check
        if self.request.copy_of is not None:
            act("copy", self._copy)
        act("chain", self._chain)
        if self.request.copy_of is None:
            act("seed", self._seed)
            act("dressing", self._dress)
        states: dict[str, State] = {}
        act("before", lambda: self._note(states, "before"))
        before = states["before"]
        act("up", lambda: self._up("the cutover"))
        check("people", lambda: self._arrival(before))
        check("verify", self._verify)
        check("evidence", self.notary.sign)
        check("evidence-rows", self.notary.verify)
        act("down", lambda: self._down("the rollback"))
        check("undo-rows", lambda: Outcome.of(self.observer.same_rows(before.tables)))
        check("undo-catalog", lambda: self.observer.same_catalog(before))
        act("up-again", lambda: self._up("the second cutover"))
        expectation = Expectation(
            connection=self.observer.connection,
            tables=before.tables,
            pairs=self._pairs(before),
            maps=self._maps,
            ids=self._ids,
        )
        act("writes", lambda: self._write(expectation))
        act("after", lambda: self._note(states, "after"))
        after = states["after"]
        if self._custodian is None:
            self.recorder.leave_out("custodian")
        else:
            act("custodian", self._refused)
        act("down-after-writes", lambda: self._down("the rollback of the writes"))
        check("rollback-rows", lambda: self._as_expected(expectation))
        check("rollback-catalog", lambda: self.observer.same_catalog(before))
        check("rollback-decisions", lambda: self._decided(expectation))
        check("verify-rollback", self._verify)
        act("up-once-more", lambda: self._up("the third cutover"))
        check(
            "redo-rows",
            lambda: Outcome.of(self.observer.same_rows(after.tables, versions_alone=True)),
        )
        check("redo-catalog", lambda: self.observer.same_catalog(after))
        check("verify-redo", self._verify)
        check("sequences", self.observer.sequences)

    def _copy(self) -> Outcome:
        restore(self.request, self.ground)
        return Outcome(rows=self.observer.count_rows())

    def _chain(self) -> Outcome:
        run = going_up.up(going_up.UpRequest(chain=self._files(), to=BEFORE))
        return Outcome(rows=len(run.done))

    def _seed(self) -> Outcome:
        seeded = seeding.seed(
            seeding.SeedRequest(
                dsn=self.ground.dsn,
                table=self.request.table,
                patients=self.request.patients,
                seed=self.request.seed,
                awkward=self.request.awkward,
            )
        )
        return Outcome(rows=sum(seeded.rows.values()))

    def _dress(self) -> Outcome:
        return Outcome(rows=dress(self.observer.connection))

    def _note(self, states: dict[str, State], name: str) -> Outcome:
        state = self.observer.note()
        states[name] = state
        if name == "before":
            with connected(self.ground.dsn) as plain:  # with the search path that the runner has
                table = history.find(plain, TableName.parse(self.request.table))
            self.observer.version_table = table.label
            self.observer.look("before the cutover")
            highest = self.observer.highest_given_out()
            self._ids = Ids(
                users=highest["users_id_seq"],
                patients=highest["patients_id_seq"],
                known=not has_turned_before(self.observer.connection),
            )
        tables = state.tables.values()
        return Outcome(
            rows=self.observer.count_rows(), columns=sum(len(table.columns) for table in tables)
        )

    def _up(self, when: str) -> Outcome:
        run = going_up.up(going_up.UpRequest(chain=self._files(), to=AFTER))
        self.observer.look(when)
        return Outcome(rows=self._turned(run).get("subjects", 0))

    def _down(self, when: str) -> Outcome:
        run = going_down.down(
            going_down.DownRequest(chain=self._files(), to=BEFORE, custodian=self._custodian)
        )
        self.observer.look(when)
        return Outcome(rows=self._turned(run).get("sources", 0))

    def _turned(self, run: RunResult) -> Mapping[str, int]:
        """Return what the migration counted, and take its value maps."""
        if not run.done:
            raise RefusedError("Nothing was run: the version table does not fit the drill.")
        turns = [turn for turn in last_turns(self.observer.connection) if turn.name == "patients"]
        if not turns:
            return {}
        if turns[0].mapping is not None:
            self._maps = ValueMaps.of(turns[0].mapping)
        return turns[0].counts

    def _arrival(self, before: State) -> Outcome:
        arrival = Crossing(
            observer=self.observer,
            dsn=self.ground.dsn,
            before=before.tables,
            pairs=self._pairs(before),
            ids=self._ids,
            maps=self._maps,
        ).arrival()
        self.counts |= {
            "patients": arrival.patients,
            "patients_as_users": arrival.patients_as_users,
            "assessments_with_a_person": arrival.assessments,
            "assessments_at_home": arrival.assessments_at_home,
        }
        return Outcome.of(self.observer.count(arrival.comparison))

    def _pairs(self, before: State) -> Pairs:
        return make_pairs(
            self.observer.scratch, before.tables[PATIENTS], from_archive=not self._ids.known
        )

    def _verify(self) -> Outcome:
        result = verifying.verify(
            verifying.VerifyRequest(dsn=self.ground.dsn, limit=self.request.limit)
        )
        outcomes = [outcome for found in result.refactors for outcome in found.outcomes]
        unread = result.verdict is Verdict.INCOMPLETE
        return Outcome(
            rows=sum(outcome.rows for outcome in outcomes),
            differences=sum(outcome.differences for outcome in outcomes),
            listed=tuple(each for outcome in outcomes for each in outcome.listed),
            lacking="The mapping in the archive is of another version." if unread else "",
        )

    def _write(self, expectation: Expectation) -> Outcome:
        connection, live = self.observer.connection, self.observer.live()
        application = Application(connection=connection)
        company = cast(
            connection,
            expectation.pairs,
            expectation.tables[PATIENTS],
            live[USERS],
            seed=self.request.seed,
        )
        dice = random.Random(f"drill/{self.request.seed}")  # noqa: S311 - a choice, not a secret
        writer = Writer(application=application, now=application.now(), dice=dice)
        self.scenario = Scenario(writer=writer, cast=company)
        with application.at_work():
            self.scenario.play()
        self.observer.look("the application's writes")
        for label in (USERS, PATIENTS):
            self.observer.handed_out += [
                Difference(
                    table=label, row_id=row["id"] or "", column="", what="id given out again"
                )
                for row in read_rows(connection, expectation.tables[label], "id", application.made)
            ]
        expectation.foresee(
            Writes(
                touched=application.touched,
                base=company.users,
                deleted_owner=self.scenario.deleted_owner,
                custodian=company.custodian,
            ),
            live,
        )
        if company.custodian is not None and expectation.orphans:
            (row,) = read_rows(connection, live[USERS], "id", {company.custodian})
            self._custodian = row["email"]
        unmet = self.scenario.unmet(expectation.edits)
        return Outcome(
            rows=sum(len(keys) for keys in application.touched.values()),
            lacking=f"Nobody was there for: {', '.join(unmet)}." if unmet else "",
        )

    def _refused(self) -> Outcome:
        try:
            going_down.down(going_down.DownRequest(chain=self._files(), to=BEFORE))
        except RefusedError:
            return Outcome(rows=1)
        raise RefusedError("Down ran without a custodian, and an owner of patients is gone.")

    def _as_expected(self, expectation: Expectation) -> Outcome:
        found = self.observer.count(expectation.complete())
        return Outcome.of(found + self.observer.same_rows(expectation.tables))

    def _decided(self, expectation: Expectation) -> Outcome:
        wanted = sorted(expectation.decisions)
        return Outcome.of(missing_decisions(self.observer.connection, wanted))

    def _files(self) -> Chain:
        dsn = self.ground.dsn
        if self.request.accept:  # for both directions
            dsn = with_setting(dsn, "refactorkit.accept", ",".join(self.request.accept))
        return Chain(
            dsn=dsn,
            directory=self.request.directory,
            table=self.request.table,
            environ=self.request.environ,
        )
