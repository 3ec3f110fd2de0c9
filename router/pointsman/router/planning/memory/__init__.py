"""Plan memory: plans that were right are kept with their requests, and reused for requests that say the same.

A request's constants (files, quoted phrases, numbers, dates, columns, the words that a plan took over) are
slots of what is remembered; for a new request they are filled anew from its own words, or the memory does
not apply.
"""

from pointsman.router.planning.memory.learning import NotGeneral, generalise
from pointsman.router.planning.memory.matching import Match, Matcher
from pointsman.router.planning.memory.planner import MemoryPlanner, Recollection
from pointsman.router.planning.memory.remembered import Remembered, Tombstone

__all__ = [
    "Match",
    "Matcher",
    "MemoryPlanner",
    "NotGeneral",
    "Recollection",
    "Remembered",
    "Tombstone",
    "generalise",
]
