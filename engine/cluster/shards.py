"""A run shared by jobs that know nothing of each other: each takes every N-th task."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from thalgpu.errors import UsageError

Task = TypeVar("Task")


@dataclass(frozen=True)
class Shard:
    """One of the jobs.

    Attributes
    ----------
    number : which, from 1.
    of : how many there are.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """ "2/4"; UsageError for what is no share."""
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip(), re.ASCII)
        number, of = map(int, found.groups()) if found else (0, 0)
        if not 1 <= number <= of:
            raise UsageError(f"--shard {text}", remedy="give I/N, such as 1/4 to 4/4")
        return cls(number, of)

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def name(self) -> str:
        """As part of a file's name."""
        return f"{self.number}-of-{self.of}"

    def mine(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """Every N-th task, counted in the full list: whatever is done already, no two shards have one in common."""
        return tasks[self.number - 1 :: self.of]


NEXT = "when all shards are done, run the same command without --shard"
"""What a shard leaves to do."""


@dataclass(frozen=True)
class ShardDone:
    """What a shard has done.

    Attributes
    ----------
    shard : which.
    n_done, n_mine, n_all : tasks that are done, of this shard, and of all.
    what : their name, "subjects".
    """

    shard: Shard
    n_done: int
    n_mine: int
    n_all: int
    what: str

    @property
    def words(self) -> str:
        """What is done and what is next."""
        return f"shard {self.shard}: {self.amount}; {NEXT}"

    @property
    def amount(self) -> str:
        """How much is done."""
        return f"{self.n_done} of its {self.n_mine} {self.what} done, {self.n_all} in all"
