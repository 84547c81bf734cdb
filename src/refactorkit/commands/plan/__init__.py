"""Say before what a run would do: each statement, its locks, whom they stop, its rows."""

from refactorkit.commands.plan.model import PlanRequest, PlanResult
from refactorkit.commands.plan.use_case import plan

__all__ = ["PlanRequest", "PlanResult", "plan"]
