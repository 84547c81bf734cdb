"""A fault to plant in 0011: what it is called, and where it goes."""

from dataclasses import dataclass

from tests.support.model.live import Fault


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """A named fault, and which story must see it: the one of rows, or the one of what was added."""

    name: str
    fault: Fault
    dressed: bool = False

    def __str__(self) -> str:
        return self.name


def on_up(name: str, old: str, new: str, *, times: int = 1, dressed: bool = False) -> Mutation:
    """Return a fault of Up."""
    return Mutation(
        name=name, fault=Fault(direction="up", old=old, new=new, times=times), dressed=dressed
    )


def on_down(name: str, old: str, new: str, *, times: int = 1, dressed: bool = False) -> Mutation:
    """Return a fault of Down."""
    return Mutation(
        name=name, fault=Fault(direction="down", old=old, new=new, times=times), dressed=dressed
    )
