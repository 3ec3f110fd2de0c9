"""Finding capabilities among up to a million: by meaning and by words, narrowed by filters, changed while serving.

index.py is what others use. Under it: live.py (what is there now), frozen.py (the part on disk), recent.py (what came
since), writing.py and store.py (files, and what a crash leaves), vectors.py and words.py (the two halves of a
search), fusion.py (one order from both), profiles.py (filters), columns.py (arrays and strings), entries.py (values).
"""

from pointsman.router.search.entries import EVERYTHING, Entry, Filter, Found, Traits
from pointsman.router.search.index import CapabilityIndex

__all__ = ["EVERYTHING", "CapabilityIndex", "Entry", "Filter", "Found", "Traits"]
