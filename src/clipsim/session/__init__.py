"""Images and texts as Python names them → `Session`, with a method for each task.

- `base`: the model that stays loaded, closing, pickling
- `encoding`: vectors and the cosines of pairs, as arrays
- `ranking`: images against texts; what in an image speaks for a text
- `collections`: search, duplicates, overview, embed
- `measuring`: evaluate, fit, threshold
"""

from clipsim.session.collections import CollectionMethods
from clipsim.session.encoding import EncodingMethods
from clipsim.session.measuring import MeasuringMethods
from clipsim.session.ranking import RankingMethods


class Session(EncodingMethods, RankingMethods, CollectionMethods, MeasuringMethods):
    """A model that stays loaded, with a method for each task; `clipsim.open` makes one.

    A context manager, which closes the cache of vectors. Threads may share it. It pickles as its options, and the copy
    is opened anew; a forked process cannot use it. Each method issues what has to be said of the model and of the
    inputs as a ClipsimWarning.

    Parameters
    ----------
    model
        The model, and how it runs.
    run
        How images and texts are processed.

    Raises
    ------
    ClipsimError
        As for `clipsim.open`.
    """
