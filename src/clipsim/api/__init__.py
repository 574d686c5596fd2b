"""One call a command: what a Python caller passes → records. The command line runs this code too.

- `session`: `open`, `rank` and `Session`, which public callers use
- `ranking`: `RankRequest` (checked before a model is opened) and `Ranking`, a ranking as it runs
"""

from clipsim.api.ranking import Ranking as Ranking
from clipsim.api.ranking import RankOutcome as RankOutcome
from clipsim.api.ranking import RankRequest as RankRequest
from clipsim.api.ranking import find_missing as find_missing
from clipsim.api.session import Session as Session
from clipsim.api.session import open as open
from clipsim.api.session import rank as rank
