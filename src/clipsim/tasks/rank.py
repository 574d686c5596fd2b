"""Images and texts → scores: `RankRequest` is the request, `run` gives the result, `stream` batches of scores."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import ImageVector, Outcome, TextFeatures, find_first
from clipsim.engines.encoder import EncoderFacts, Features
from clipsim.errors import Failure, NoInputError, UsageError, printable, quote_some
from clipsim.images.thumbnails import ThumbnailRules
from clipsim.inputs.sources import Source
from clipsim.inputs.texts import MAX_QUOTED, check_templates, clean_labels
from clipsim.options import OnError, check_flag, check_on_error
from clipsim.results.base import ModelRecord
from clipsim.results.rank import ImageScores, RankResult, order_images
from clipsim.tasks.arguments import TextInputs, split_vectors
from clipsim.tasks.progress import Progress, ProgressCallback, ignore_progress
from clipsim.vectors.similarity import (
    Vectors,
    best_passing_text,
    best_text,
    mean_of_templates,
    score_images,
)

if TYPE_CHECKING:
    from clipsim.results.classifier import Classifier
    from clipsim.results.loaded import LoadedThresholds
    from clipsim.tasks.saved_files import ClassifierInput, Thresholds


NO_PROBABILITY = "with one text there is no probability, which is a share among the texts; give another text to get one"
NOTHING_USABLE = "none of the inputs could be used"
NO_IMAGES = "no images to rank; give at least one"
TEXT_BLOCKS = 16  # blocks of texts whose vectors are held before they are averaged

RankOutcome = ImageScores | Failure


@dataclass(frozen=True)
class RankRequest:
    """The arguments of a ranking, checked before a model is opened.

    `sources` may be an iterator for `stream`. `on_error` is None for what the embedder's options say. With
    `thumbnails`, each image's scores hold a small image file, and every source is decoded, even where its vector is
    cached. `notices` are what the caller should know of the request. `words` are what each text stands for, None where
    each is its own only word. `text_vectors` are those of the texts, where the caller has them. With a `classifier` the
    texts are its labels.
    """

    sources: Iterable[Source]
    texts: tuple[str, ...]
    templates: tuple[str, ...] = ()
    sort_by: str | None = None
    thresholds: LoadedThresholds | None = None
    deduplicate: bool = True
    on_error: OnError | None = None
    thumbnails: ThumbnailRules | None = None
    notices: tuple[str, ...] = ()
    words: tuple[tuple[str, ...], ...] | None = None
    text_vectors: Vectors | None = field(default=None, compare=False)
    classifier: Classifier | None = None

    @classmethod
    def check(
        cls,
        sources: Iterable[Source],
        texts: TextInputs = (),
        templates: Iterable[str] | str = (),
        sort_by: str | None = None,
        thresholds: Thresholds | None = None,
        classifier: ClassifierInput | None = None,
        *,
        deduplicate: bool = True,
        on_error: OnError | None = None,
        thumbnails: ThumbnailRules | None = None,
        notices: Iterable[str] = (),
    ) -> RankRequest:
        """Strip the texts, and with `deduplicate` drop repeated ones; read the thresholds or the classifier.

        Raises UsageError for no texts, an empty one or one that is not a string, a template without `{}`, a `sort_by`
        that is not one of the texts, and texts, templates or thresholds beside a classifier; NoInputError for an empty
        list of sources; DataError for a classifier, and for thresholds, that cannot be read, and for thresholds that
        lack one of the texts.
        """
        check_flag("deduplicate", deduplicate)
        saved_classifier = None
        if classifier is not None:
            saved_classifier = _read_classifier(classifier, texts=texts, templates=templates, thresholds=thresholds)
            texts = saved_classifier.labels
        texts, text_vectors = split_vectors(texts, templates, thresholds)
        labels = clean_labels(texts, deduplicate=deduplicate and text_vectors is None)
        if not labels.labels:
            raise UsageError("none given", parameter="texts", hint="give at least one")
        checked_templates = check_templates(templates)
        if on_error is not None:
            check_on_error(on_error)
        if sort_by is not None and not (isinstance(sort_by, str) and sort_by.strip() in labels.labels):
            raise UsageError("not one of the texts", parameter="sort_by", value=sort_by)
        saved = None
        if thresholds is not None:
            from clipsim.tasks.saved_files import read_thresholds  # with the records of all commands

            saved = read_thresholds(thresholds, labels.labels, labels.words)
        if isinstance(sources, Sequence) and not sources:
            raise NoInputError(NO_IMAGES)
        return cls(
            sources,
            labels.labels,
            checked_templates,
            None if sort_by is None else sort_by.strip(),
            saved,
            deduplicate,
            on_error,
            thumbnails,
            (*labels.notices, *notices),
            labels.words,
            text_vectors,
            saved_classifier,
        )


def _read_classifier(classifier: ClassifierInput, **others: object) -> Classifier:
    """A classifier, which stands in place of texts. Raises UsageError for `others` beside it."""
    from clipsim.tasks.saved_files import read_classifier  # with the records of all commands

    for name, value in others.items():
        if value is not None and (not isinstance(value, str | Sequence | Mapping) or value):
            raise UsageError(
                "cannot be combined with a classifier, whose labels have vectors of their own", parameter=name
            )
    return read_classifier(classifier)


@dataclass(frozen=True, eq=False)
class RankTexts:
    """The texts of a ranking as the model reads them, each once where the request removes repetitions.

    `vectors` is (m, embed_dim), unit vectors; `thresholds` has the cosine that each text must reach, where there are
    any; `notices` are what the caller should know of the texts; `words` is as in the request. `scoring` are the facts
    that turn cosines into probabilities: the model's, or with a classifier its own.
    """

    texts: tuple[str, ...]
    vectors: Vectors
    scoring: EncoderFacts
    sort_by: str | None
    thresholds: tuple[float, ...] | None
    notices: tuple[str, ...]
    words: tuple[tuple[str, ...], ...] | None = None

    @classmethod
    def of(cls, facts: EncoderFacts, request: RankRequest, embedded: TextVectors) -> RankTexts:
        """The texts of a request with their vectors.

        Raises DataError for thresholds of another model, precision or templates.
        """
        kept = embedded.distinct if request.deduplicate else range(len(request.texts))
        texts = tuple(request.texts[index] for index in kept)
        sort_by = request.sort_by
        if sort_by is not None and request.deduplicate:
            sort_by = request.texts[embedded.first[request.texts.index(sort_by)]]
        thresholds = None
        if request.thresholds is not None:
            from clipsim.tasks.saved_files import check_conditions

            check_conditions(request.thresholds, facts, request.templates)
            thresholds = tuple(request.thresholds.thresholds[text] for text in texts)
        notices = [*request.notices, *embedded.notices]
        if request.deduplicate and (alike := embedded.name_alike(request.texts)):
            notices.append(f"the same text to this model, counted once: {alike}")
        if len(texts) == 1 and facts.head == "softmax":
            notices.append(NO_PROBABILITY)
        words = None if request.words is None else tuple(request.words[index] for index in kept)
        scoring = facts if request.classifier is None else scoring_facts(facts, request.classifier)
        return cls(texts, embedded.vectors[list(kept)], scoring, sort_by, thresholds, tuple(notices), words)


@dataclass(frozen=True, eq=False)
class RankBatch:
    """Some images of a ranking, in order: the scores of each, or a failure in its place; with its model and texts."""

    facts: EncoderFacts
    texts: RankTexts
    outcomes: list[RankOutcome]


def run(embedder: Embedder, request: RankRequest, progress: ProgressCallback = ignore_progress) -> RankResult:
    """Score every image against every text.

    Raises TextError for a text that is too long, DataError for thresholds or a classifier of another model,
    NoInputError without images, and with an `on_error` of "raise" ImageError for the first image that cannot be used.
    """
    with closing(stream(embedder, request, progress)) as batches:
        whole = next(batches, None)
        if whole is None:
            raise NoInputError(NO_IMAGES)
        for batch in batches:
            whole.outcomes.extend(batch.outcomes)
    return make_result(embedder, request, whole)


def stream(
    embedder: Embedder, request: RankRequest, progress: ProgressCallback = ignore_progress, *, live: bool = False
) -> Generator[RankBatch, None, None]:
    """Score the images in batches, in memory that does not grow with their number. Raises as `run` does.

    With `live`, scores do not wait for sources that have not come yet, as from a pipe.
    """
    progress(Progress("loading the model", 0, None, notices=(*embedder.notices, *request.notices)))
    total = len(request.sources) if isinstance(request.sources, Sequence) else None
    with closing(embedder.open_pipeline(request.sources, live=live, thumbnails=request.thumbnails)) as pipeline:
        pipeline.start()  # images are decoded while the model is loaded for the texts
        if request.classifier is not None:
            embedded = check_label_vectors(request.classifier, embedder)
        elif request.text_vectors is not None:
            embedder.check_width(request.text_vectors.shape[1], "texts")
            embedded = TextVectors(request.text_vectors, tuple(range(len(request.texts))))
        else:
            embedded = make_text_vectors(embedder, request.texts, request.templates, words=request.words)
        facts = embedder.facts
        texts = RankTexts.of(facts, request, embedded)
        progress(Progress("ranking", 0, total, notices=texts.notices))
        done = 0
        for batch in embedder.embed_images(pipeline, on_error=request.on_error):
            outcomes = score_batch(texts.scoring, texts.vectors, batch, texts.thresholds)
            done += len(outcomes)
            failures = tuple(outcome for outcome in outcomes if isinstance(outcome, Failure))
            progress(Progress("ranking", done, total, failures))
            yield RankBatch(facts, texts, outcomes)


def score(embedder: Embedder, request: RankRequest, embedded: TextVectors, outcomes: Sequence[Outcome]) -> RankResult:
    """The result of a ranking whose texts and images have been embedded already. Raises DataError as `run` does.

    The texts of a classifier need not be embedded.
    """
    facts = embedder.facts
    if request.classifier is not None:
        embedded = check_label_vectors(request.classifier, embedder)
    texts = RankTexts.of(facts, request, embedded)
    scored = score_batch(texts.scoring, texts.vectors, outcomes, texts.thresholds)
    return make_result(embedder, request, RankBatch(facts, texts, scored))


def make_result(embedder: Embedder, request: RankRequest, batch: RankBatch) -> RankResult:
    """The result of some images, ordered by `sort_by` where that was asked for."""
    facts, texts = batch.facts, batch.texts
    on_error = request.on_error or embedder.run_options.on_error
    with_shares = texts.scoring.head != "softmax" or len(texts.texts) > 1
    scores, errors = list[ImageScores](), list[Failure]()
    for outcome in batch.outcomes:
        if isinstance(outcome, ImageScores):
            scores.append(outcome)
            continue
        errors.append(outcome)
        if on_error == "nan":
            scores.append(ImageScores.missing(outcome, len(texts.texts), with_probabilities=with_shares))
    if texts.sort_by is not None:
        scores = order_images(scores, texts.texts.index(texts.sort_by))
    return RankResult(
        model=describe_model(facts),
        device=facts.device,
        precision=facts.precision,
        engine=facts.engine,
        templates=request.templates,
        texts=texts.texts,
        scores=tuple(scores),
        errors=tuple(errors),
        warnings=tuple(dict.fromkeys((*embedder.notices, *texts.notices))),
        thresholds=texts.thresholds,
        words=texts.words,
        classifier=None if request.classifier is None else request.classifier.use,
    )


def check_label_vectors(classifier: Classifier, embedder: Embedder, labels: Sequence[str] | None = None) -> TextVectors:
    """The vectors of a classifier's labels, or of some, in place of those of texts.

    Raises DataError for those of another model.
    """
    from clipsim.tasks.saved_files import check_classifier  # with the records of all commands

    notices = check_classifier(classifier, embedder)
    rows = {label: row for row, label in enumerate(classifier.labels)}
    chosen = [rows[label] for label in (classifier.labels if labels is None else labels)]
    return TextVectors(classifier.weights[chosen], tuple(range(len(chosen))), notices)


def scoring_facts(facts: EncoderFacts, classifier: Classifier) -> EncoderFacts:
    """The facts that turn the cosines of a classifier's labels into probabilities: a softmax of its own scale."""
    return replace(facts, head="softmax", logit_scale=classifier.scale, logit_bias=None)


def make_text_vectors(
    embedder: Embedder,
    texts: Sequence[str],
    templates: Sequence[str] = (),
    progress: ProgressCallback = ignore_progress,
    *,
    words: Sequence[Sequence[str]] | None = None,
) -> TextVectors:
    """M texts, each averaged over its words and the templates → their vectors, a few blocks at a time.

    Without `words`, each text is its own only word. Words of one text that are the same to the model count once.
    """
    step = TEXT_BLOCKS * max(1, embedder.batch_size // max(1, len(templates)))  # whole blocks of `embed_texts`
    total = len(texts) if words is None else sum(map(len, words))

    def embed(blocks: Iterable[Sequence[str]]) -> Iterator[TextFeatures]:
        done = 0
        for block in blocks:
            yield embedder.embed_texts(block, templates)
            done += len(block)
            progress(Progress("encoding texts", done, total))

    if words is None:
        return join_vectors(embed(texts[start : start + step] for start in range(0, total, step)))
    groups = _group_words(words, step)
    blocks = embed([word for own in group for word in own] for group in groups)
    return _join_words(groups, blocks)


def _group_words(words: Sequence[Sequence[str]], step: int) -> list[Sequence[Sequence[str]]]:
    """Texts in groups that have about `step` words."""
    groups, start, count = [], 0, 0
    for end, own in enumerate(words, start=1):
        count += len(own)
        if count >= step or end == len(words):
            groups.append(words[start:end])
            start, count = end, 0
    return groups


def _join_words(groups: Iterable[Sequence[Sequence[str]]], blocks: Iterable[TextFeatures]) -> TextVectors:
    """The words of each text, in groups, and a block of features for each group → the vectors of the texts."""
    vectors, identities, alike = [], list[bytes](), list[str]()
    for group, block in zip(groups, blocks, strict=True):
        encoded = zip(block.features, block.identities, strict=True)
        for own in group:
            distinct: dict[bytes, Features] = {}  # the (t, embed_dim) features of each word
            for word, (features, identity) in zip(own, encoded, strict=False):
                alike += [word] if identity in distinct else []
                distinct.setdefault(identity, features)
            vectors.append(mean_of_templates(np.concatenate(list(distinct.values()))[None]))
            identities.append(b"".join(sorted(distinct)))
    first = find_first(identities)
    notice = f"the same to this model as another word of the label, counted once: {quote_some(alike, width=MAX_QUOTED)}"
    return TextVectors(np.concatenate(vectors)[first], tuple(first), (notice,) if alike else ())


def join_vectors(blocks: Iterable[TextFeatures]) -> TextVectors:
    """The features of blocks of texts in templates → their vectors."""
    vectors, identities = [], list[bytes]()
    for block in blocks:
        vectors.append(mean_of_templates(block.features))
        identities += block.identities
    first = find_first(identities)
    return TextVectors(np.concatenate(vectors)[first], tuple(first))


@dataclass(frozen=True, eq=False)
class TextVectors:
    """Texts as the model reads them.

    `vectors` is (m, embed_dim), unit vectors; `first` has, for each of them, the index of the first that
    is the same text to the model, whose vector it has; `notices` are what the caller should know of their words.
    """

    vectors: Vectors
    first: tuple[int, ...]
    notices: tuple[str, ...] = ()

    @property
    def distinct(self) -> list[int]:
        """The indices of the texts that are not the same text as an earlier one."""
        return [index for index, first in enumerate(self.first) if index == first]

    def name_alike(self, texts: Sequence[str]) -> str:
        """The groups of texts that are one to the model, as a message names them; empty where there are none."""
        groups: dict[int, list[str]] = {}
        for text, first in zip(texts, self.first, strict=True):
            groups.setdefault(first, []).append(text)
        alike = [
            " and ".join(f"'{printable(text, MAX_QUOTED)}'" for text in group)
            for group in groups.values()
            if len(group) > 1
        ]
        return ", ".join(alike[:3]) + (f" and {len(alike) - 3} more" if len(alike) > 3 else "")


def nothing_usable(failures: Sequence[Failure]) -> str:
    """The message where no input could be used: the first failure, and how many more there are."""
    if not failures:
        return NOTHING_USABLE
    more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
    return f"{NOTHING_USABLE}: {printable(failures[0].image)}: {failures[0].error}{more}"


def score_batch(
    facts: EncoderFacts,
    text_vectors: Vectors,
    batch: Sequence[Outcome],
    thresholds: Sequence[float] | None = None,
) -> list[RankOutcome]:
    """(m, embed_dim) unit text vectors and a batch of outcomes → the scores of each image; failures keep their places.

    With `thresholds`, one for each text, the best text is the best of those that pass, or None.
    """
    good = [outcome for outcome in batch if isinstance(outcome, ImageVector)]
    scored: Iterator[ImageScores] = iter(())
    if good:
        similarity, shares = score_images(
            text_vectors,
            np.stack([outcome.features for outcome in good]),
            head=facts.head,
            logit_scale=facts.logit_scale,
            logit_bias=facts.logit_bias,
        )
        bests = best_text(similarity).tolist() if thresholds is None else best_passing_text(similarity, thresholds)
        scored = (
            ImageScores(
                outcome.image,
                similarity[:, column],
                None if shares is None else shares[:, column],
                best,
                outcome.thumbnail,
                outcome.index,
            )
            for column, (outcome, best) in enumerate(zip(good, bests, strict=True))
        )
    return [outcome if isinstance(outcome, Failure) else next(scored) for outcome in batch]


def describe_model(facts: EncoderFacts) -> ModelRecord:
    """The record of the model that results carry."""
    values = {field.name: getattr(facts, field.name) for field in fields(ModelRecord) if field.name != "preprocess"}
    return ModelRecord(**values, preprocess=tuple(vars(facts.preprocessing).items()))
