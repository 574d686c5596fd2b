"""One call a command: what a Python caller passes → records. The command line runs this code too.

- `session`: `open`, `rank` and `Session`, which public callers use
- `embed`: `EmbedRequest` and `Embedding`, a data set of vectors as it is made, by `local_runner` or `ray_runner`
  (with `ray_worker`); `shard_work` is what both do with a shard
- `measuring`: `evaluate` and `threshold`, which open their models themselves
- `comparison`: `compare`, two results of earlier runs
- `ranking`: `RankRequest` (checked before a model is opened) and `Ranking`, a ranking as it runs
- `evaluation_request`, `evaluation`: likewise for evaluations
- `evaluation_records`: what the runs of an evaluation found → its result
- `evaluation_tasks`: what each task of an evaluation does with the vectors
- `template_sets`: templates and named sets of them
- `thresholds`: likewise for thresholds, and their file
- `saved_files`: results and thresholds of earlier runs

`embed` is imported only where it is used: with what reads tars and tables, it would slow down the start of a ranking.
"""

from clipsim.api.comparison import compare as compare
from clipsim.api.evaluation import Evaluation as Evaluation
from clipsim.api.evaluation import Step as Step
from clipsim.api.evaluation_request import EvaluationRequest as EvaluationRequest
from clipsim.api.measuring import check_models as check_models
from clipsim.api.measuring import evaluate as evaluate
from clipsim.api.measuring import threshold as threshold
from clipsim.api.ranking import Ranking as Ranking
from clipsim.api.ranking import RankOutcome as RankOutcome
from clipsim.api.ranking import RankRequest as RankRequest
from clipsim.api.ranking import find_missing as find_missing
from clipsim.api.session import Session as Session
from clipsim.api.session import open as open
from clipsim.api.session import rank as rank
from clipsim.api.thresholds import Thresholding as Thresholding
from clipsim.api.thresholds import ThresholdRequest as ThresholdRequest
from clipsim.api.thresholds import save_thresholds as save_thresholds
