"""`ModelOptions` and `RunOptions` → `Session`: an encoder and its cache, opened together, used by every command."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from clipsim.cache.database import Database
from clipsim.cache.vectors import EmbeddingCache, FileDigests, ImageCache
from clipsim.embedding.deferred import DeferredEncoder
from clipsim.embedding.encode import Outcome, TextFeatures, embed_images, embed_texts, join_blocks
from clipsim.embedding.pipeline import Pipeline
from clipsim.engines.choice import (
    EnginePlan,
    default_batch_size,
    default_precision,
    default_workers,
    describe_gpus,
    explain_device,
    may_have_gpu,
    plan_engine,
    plan_module,
    resizes_by_torch,
)
from clipsim.engines.encoder import Encoder, EncoderFacts
from clipsim.engines.preprocessing import find_preprocessing
from clipsim.errors import DeviceError, UsageError, WeightsError, printable
from clipsim.files import digest_file, digest_files
from clipsim.images.limits import VERSION as DECODING_VERSION
from clipsim.images.limits import DecodingRules
from clipsim.images.thumbnails import ThumbnailRules
from clipsim.inputs.sources import Source, VectorSource
from clipsim.models.catalogue import BUNDLED
from clipsim.models.files import ModelFiles, explain_model, find_files
from clipsim.models.identity import DigestFiles, identify_model, package_version
from clipsim.models.names import ModelSpec, join_name
from clipsim.models.settings import cache_folder, choose_model
from clipsim.options import RAISING, ModelOptions, ModuleOptions, OnError, RunOptions, check_device, check_precision

if TYPE_CHECKING:
    from clipsim.embedding.decoders import DecoderPool

Opened = TypeVar("Opened", bound="Embedder")

DEFAULT_NOTICE = (
    f"using {BUNDLED}, the small bundled model: it knows simple drawings, not photographs; choose a real one as the "
    f"model, or for good with 'clipsim models use ViT-B-32/openai'; 'clipsim models use {BUNDLED}' keeps it and ends "
    "this notice"
)


class Embedder:
    """One model, ready to embed sources and texts; a context manager that closes the cache.

    Opening finds the model's files, downloading those of a named model that are missing, but imports no torch: the
    model itself is loaded when the first vector is missing in the cache. With `own_process`, settings of the whole
    process may be changed to start and run faster; a library must not.

    Threads may share it: what changes belongs to `DeferredEncoder` and `Database`, each with a lock of its own. A call
    of one thread that fails or is interrupted changes nothing for the others; once a thread has closed it, calls of
    others end or raise UsageError. A forked process cannot use it. It pickles as its options: the copy is opened anew.

    Raises ModelError and its family for the model, UsageError for options that contradict each other; DeviceError
    comes with the first vector that is missing.

    `device` and `precision` are those of all its vectors.
    """

    def __init__(
        self, model: ModelOptions | None = None, run: RunOptions | None = None, *, own_process: bool = False
    ) -> None:
        self.model_options, self.run_options = model or ModelOptions(), run or RunOptions()
        self.own_process = own_process
        module = plan_module(self.model_options) if isinstance(self.model_options, ModuleOptions) else None
        if module is not None:
            # nothing tells whether its transform has changed, nor which sizes of images are enough for it
            self.run_options = replace(self.run_options, cache=False, exact=True)
            self.spec, self.model_was_chosen = ModelSpec(module.open_encoder().facts.name, "module"), True
            self._files = ModelFiles(Path())
            self._files_notices: tuple[str, ...] = ()
        else:
            self.spec, self.model_was_chosen = choose_model(self.model_options)
            self._files = find_files(self.spec)
            # not among the cached facts: they depend on the folder of the files, and on what the user chose
            self._files_notices = explain_model(self.spec, self._files)
        name, tag = self.spec.reported_name, self.spec.reported_tag
        self.decoding = DecodingRules(exact=self.run_options.exact)
        database = Database(cache_folder()) if self.run_options.cache else None
        self._cache_notices = [] if database is None else database.notices
        self._database = database if database is not None and database.usable else None
        self._digests = None if self._database is None else FileDigests(self._database)
        self._closed = False
        self._identity: str | None = None
        try:
            self._plan: EnginePlan = module or plan_engine(
                self.spec,
                self._files,
                self.model_options,
                read_digests=digest_files if self._digests is None else self._digests.read,
                own_process=own_process,
            )
            self._opened: Encoder | None = None  # where it was opened to learn its device
            self.device, self.precision = self._settle_device()
            self.batch_size = self.run_options.batch_size or default_batch_size(self.device)
            self.workers = self.run_options.workers or default_workers()
            preprocessing = find_preprocessing(self.spec, self._files)
            self._decoding_version: int | str = DECODING_VERSION
            if preprocessing is not None and resizes_by_torch(self.device, self.precision, exact=self.decoding.exact):
                preprocessing = replace(preprocessing, backend="torch")
                self._decoding_version = f"{DECODING_VERSION}, resized by torch"
            self._decoders: DecoderPool | None = None
            if preprocessing is not None and own_process and self.device.startswith("cuda"):
                from clipsim.embedding.decoders import DecoderPool, default_processes

                self.workers = self.run_options.workers or default_processes()
                self._decoders = DecoderPool(self.workers, preprocessing, self.decoding)
            self._device_notice = None if self._opened is None else self._opened.facts.device_notice
            if self._device_notice is None and module is None:
                self._device_notice = explain_device(self.model_options.device, self.device)
            self._deferred = DeferredEncoder(
                self._open_model,
                name=name,
                pretrained=tag,
                engine=self._plan.engine,
                device=self.device,
                precision=self.precision,
                preprocessing=preprocessing,
            )
            self.cache = self._open_cache()
        except BaseException:
            if self._database is not None:
                self._database.close()
            raise
        if self.cache is None:
            self._deferred.start()

    @property
    def encoder(self) -> Encoder:
        """The model, which is loaded when it is first needed. Raises UsageError when closed, or in a forked process."""
        self._deferred.check_process()
        if self._closed:
            raise UsageError("the session is closed")
        return self._deferred

    @property
    def facts(self) -> EncoderFacts:
        """What results state of the model and scores are computed with; loads the model where it is not known.

        Raises as loading the model does; UsageError when closed, or in a forked process.
        """
        self.encoder  # noqa: B018 (raises where the session is closed)
        return self._deferred.facts

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know of the model and of how it runs, as far as it is known by now; loads nothing.

        All of it is known once any fact of the model is.
        """
        chosen = () if self.model_was_chosen else (DEFAULT_NOTICE,)
        notices = (
            *chosen,
            *self._files_notices,
            *self._deferred.known_notices,
            *self._plan.notices,
            *([self._device_notice] if self._device_notice else []),
            *self._cache_notices,
        )
        return tuple(dict.fromkeys(notices))

    @property
    def model_notices(self) -> tuple[str, ...]:
        """What the vectors rest on: what was assumed of the model's files. Loads the model where it is not known."""
        return tuple(dict.fromkeys((*self._files_notices, *self.facts.notices)))

    @property
    def seconds_loading(self) -> float:
        """How long callers have waited for the model to be loaded; 0 where all vectors were in the cache."""
        return self._deferred.seconds_loading

    @property
    def identity(self) -> str:
        """The digest of the model's files (`models.identity`). Raises WeightsError where they cannot be read."""
        if self._identity is None:
            self._identity = self._plan.identity or self._identify()
        return self._identity

    def digest_file(self, path: Path) -> str:
        """The SHA-256 of a file in hex, from the cache where the file has not changed since. Raises OSError."""
        return digest_file(path) if self._digests is None else self._digests.read([path])[path]

    def embed_texts(self, texts: Sequence[str], templates: Sequence[str] = ()) -> TextFeatures:
        """M texts in T templates (or none: T = 1) → (m, t, embed_dim) float32 features, not normalised.

        Where texts are one text to the model, their features are equal.

        Raises TextError for a text that is too long, unless the run truncates, or without a finite vector.
        """
        blocks = embed_texts(
            self.encoder,
            texts,
            templates,
            batch_size=self.batch_size,
            truncate=self.run_options.truncate,
            cache=self.cache,
        )
        return join_blocks(blocks)

    def open_pipeline(
        self,
        sources: Iterable[Source],
        *,
        live: bool = False,
        measure: bool = False,
        thumbnails: ThumbnailRules | None = None,
        cache: ImageCache | None = None,
    ) -> Pipeline:
        """A pipeline over the sources; its `start` begins to decode while the model is still being loaded.

        `cache` is used instead of the session's own. Iterating raises UsageError for a vector of another length than
        the model's.
        """
        return Pipeline(
            self.encoder,
            self._check_widths(sources),
            rules=self.decoding,
            batch_size=self.batch_size,
            workers=self.workers,
            cache=cache or self.cache,
            live=live,
            measure=measure,
            thumbnails=thumbnails,
            own_process=self.own_process,
            decoders=self._decoders,
        )

    def embed_images(self, pipeline: Pipeline, *, on_error: OnError | None = None) -> Iterator[list[Outcome]]:
        """Batches of vectors, lazily and in order; each input is an ImageVector, or a Failure in its place.

        New vectors go into the cache. With an `on_error` of "raise", here or of the session, the first unusable input
        raises ImageError.
        """
        return embed_images(
            self.encoder,
            pipeline,
            batch_size=self.batch_size,
            live=pipeline.live,
            fail=(on_error or self.run_options.on_error) in RAISING,
            cache=self.cache,
        )

    def load_model(self) -> None:
        """Load the model now. Raises ModelError and DeviceError."""
        self._deferred.load()

    def close(self) -> None:
        """Close the cache, end decoding processes; nothing can be embedded afterwards. Closing twice does nothing."""
        closed, self._closed = self._closed, True
        if self._decoders is not None:
            self._decoders.close()
        if not closed and self.cache is not None and not self._deferred.forked:
            self.cache.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the options; unpickling opens the model anew, as a library."""
        return type(self), (self.model_options, self.run_options)

    def __enter__(self: Opened) -> Opened:
        """The session itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the session."""
        self.close()

    def check_width(self, width: int, name: str | None = None) -> None:
        """Raise UsageError for vectors of another length than the model's; `name` is the parameter's."""
        if width != self.facts.embed_dim:
            model = printable(join_name(self.facts.name, self.facts.pretrained))
            raise UsageError(
                f"vectors of {width:,} numbers; those of {model} have {self.facts.embed_dim:,}", parameter=name
            )

    def _check_widths(self, sources: Iterable[Source]) -> Iterator[Source]:
        width = None
        for source in sources:
            if isinstance(source, VectorSource) and len(source.vector) != width:
                width = len(source.vector)
                self.check_width(width)
            yield source

    def _settle_device(self) -> tuple[str, str]:
        """The device and the precision; the model is loaded where only that tells, on a machine with a GPU.

        What was found before is believed as long as the GPUs and torch are the same.
        """
        device, precision = self._plan.device, self._plan.precision
        if device is not None and not (device.startswith("cuda") and may_have_gpu()):
            return device, precision or default_precision(device)
        if device is None or precision is None:
            known = recall_device(self._database, device or "auto")
            device, precision = device or known.device, precision or known.precision
        if device is None or precision is None:
            self._opened = self._plan.open_encoder()
            self._remember(self._opened.facts)
            device, precision = self._opened.facts.device, self._opened.facts.precision
        return device, precision

    def _remember(self, facts: EncoderFacts) -> None:
        """Store what was chosen, where it was; another device than a GPU that does not compute now is not stored."""
        default = facts.precision if self._plan.precision is None else None
        known = KnownDevice(None, None) if facts.device_notice else KnownDevice(facts.device, default)
        remember_device(self._database, self._plan.device or "auto", known)

    def _open_model(self) -> Encoder:
        """Open the model. Raises DeviceError where the device or its precision is another than was remembered."""
        opened = self._opened or self._plan.open_encoder()
        for earlier, now in ((self.device, opened.facts.device), (self.precision, opened.facts.precision)):
            if earlier != now:
                self._remember(opened.facts)
                raise DeviceError(
                    f"it was {earlier} in an earlier run, and is {now} now",
                    parameter="device",
                    value=self.model_options.device,
                    hint="run it again",
                )
        return opened

    def _open_cache(self) -> EmbeddingCache | None:
        if self._digests is None:
            return None
        name = join_name(self.spec.reported_name, self.spec.reported_tag)
        cache = EmbeddingCache.open(
            self._digests,
            identity=self.identity,
            precision=self.precision,
            decoding=self._decoding_version,
            model=name,
        )
        self._deferred.use_facts_of(cache.texts)
        return cache

    def _identify(self) -> str:
        read_digests: DigestFiles = digest_files
        if self._digests is not None and not self._closed:
            # a model whose files are not known is needed: it is loaded while they are read for their digests
            read_digests = partial(self._digests.read, before_reading=self._deferred.start)
        try:
            return identify_model(self.spec, self._files, read_digests)
        except OSError as error:
            raise WeightsError(f"{printable(str(error.filename))}: cannot read it: {error.strerror}") from error


class KnownDevice(NamedTuple):
    """What the name of a device stood for in an earlier run, and its default precision, as far as they are known."""

    device: str | None
    precision: str | None


def recall_device(database: Database | None, name: str) -> KnownDevice:
    """What the name stood for in an earlier run on this hardware."""
    note = _device_note(name)
    known = "" if database is None else database.read_notes([note]).get(note, "")
    device, _, precision = known.partition(" ")
    try:
        check_device(device)
        if precision:
            check_precision(precision)
    except UsageError:
        return KnownDevice(None, None)
    return KnownDevice(device, precision or None)


def remember_device(database: Database | None, name: str, known: KnownDevice) -> None:
    """Store what the name stands for now."""
    if database is not None:
        database.write_notes({_device_note(name): " ".join(filter(None, known))})


def _device_note(name: str) -> str:
    return f"{name}: {package_version('torch')} {describe_gpus()}"
