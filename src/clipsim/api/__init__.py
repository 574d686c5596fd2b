"""One call a command: what a Python caller passes → records. The command line runs this code too.

- `session`: `open`, `rank` and `Session`, which public callers use
- `embed`: `EmbedRequest` and `Embedding`, a data set of vectors as it is made, by `local_runner` or `ray_runner`
  (with `ray_worker`); `shard_work` is what both do with a shard
- `ranking`: `RankRequest` (checked before a model is opened) and `Ranking`, a ranking as it runs

`embed` is imported only where it is used: with what reads tars and tables, it would slow down the start of a ranking.
"""

from clipsim.api.ranking import Ranking as Ranking
from clipsim.api.ranking import RankOutcome as RankOutcome
from clipsim.api.ranking import RankRequest as RankRequest
from clipsim.api.ranking import find_missing as find_missing
from clipsim.api.session import Session as Session
from clipsim.api.session import open as open
from clipsim.api.session import rank as rank
