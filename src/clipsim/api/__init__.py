"""One call a command: what a Python caller passes → records. The command line runs this code too.

- `session`: `open`, `rank` and `Session`, which public callers use
- `embed`: `EmbedRequest` and `Embedding`, a data set of vectors as it is made, by `local_runner` or `ray_runner`
  (with `ray_worker`); `shard_work` is what both do with a shard
- `search`: `SearchRequest` and `Search`, which goes through `places`, each by `search_vectors`
- `duplicates`: `DuplicatesRequest` and `Duplicates`, which fills a `collection` and has a `pixel_check`; `same_files`
  compares bytes alone
- `search_calls`: the calls of `Session` that lead to these two
- `index`: the index of a data set, and what it finds of `sample_texts`
- `ranking`: `RankRequest` (checked before a model is opened) and `Ranking`, a ranking as it runs

All but `session`, `search_calls` and `ranking` are imported only where they are used: with what reads tars and tables,
they would slow down the start of a ranking.
"""

from clipsim.api.ranking import Ranking as Ranking
from clipsim.api.ranking import RankOutcome as RankOutcome
from clipsim.api.ranking import RankRequest as RankRequest
from clipsim.api.ranking import find_missing as find_missing
from clipsim.api.session import Session as Session
from clipsim.api.session import open as open
from clipsim.api.session import rank as rank
