// Images and texts → requests in groups → scores, each image's as soon as its group is answered.

import { reduce } from "./reduce.js";
import { ask } from "./requests.js";

const GROUP = 8; // images of a request at most, so that the first scores come soon
const AT_ONCE = 2; // requests on their way, so that the model works while the next images are sent
const BODY_MARGIN = 65536; // bytes of a request beside its images and texts
const PART_BYTES = 1024; // of a form beside each image

/**
 * Images, texts, and the scores that the server has given.
 *
 * An image is `{id, file, state, scores, error, copy}`; its state is "waiting", "sent", "ranked" or "failed"; its scores
 * are `{texts, similarity, probabilities, best}`, the lists in the order of `texts`, or null; its copy is what `reduce`
 * gave, undefined before.
 */
export class Ranking {
  /** `changed(what)` is called with "images", "texts" or "scores"; `report(sentence)` as by `ask`. */
  constructor({ changed, report, stopped }) {
    this.images = [];
    this.texts = [];
    this.template = "";
    this.model = null;
    this.side = 0; // of the model's images
    this.originals = false; // whether large images are sent as they are
    this.limits = { max_images: GROUP, max_body: Infinity };
    this.warnings = [];
    this.head = "softmax";
    this._changed = changed;
    this._report = report;
    this._stopped = stopped;
    this._begun = false;
    this._lastId = 0;
    this._run = new AbortController();
    this._working = 0;
  }

  /** Send what was added, and what will be: the model and the limits of a request are known now. */
  begin() {
    this._begun = true;
    this._work();
  }

  add(files) {
    for (const file of files) {
      this._lastId += 1;
      this.images.push({ id: this._lastId, file, state: "waiting", scores: null, error: "", copy: undefined });
    }
    this._changed("images");
    this._work();
  }

  remove(ids) {
    this.images = this.images.filter((image) => !ids.has(image.id));
    this._changed("images");
  }

  /** Add texts that are not there yet, blanks at both ends stripped. */
  addTexts(texts) {
    const added = texts.map((text) => text.trim()).filter((text) => text !== "");
    const all = [...new Set([...this.texts, ...added])];
    if (all.length > this.texts.length) this._ask(() => { this.texts = all; });
  }

  /** Rank by these texts and no others. */
  setTexts(texts) {
    const distinct = [...new Set(texts.map((text) => text.trim()).filter((text) => text !== ""))];
    if (distinct.join("\n") !== this.texts.join("\n")) this._ask(() => { this.texts = distinct; });
  }

  removeText(text) {
    this._ask(() => { this.texts = this.texts.filter((other) => other !== text); });
  }

  setTemplate(template) {
    if (template !== this.template) this._ask(() => { this.template = template; }, true);
  }

  /** `side` is that of the model's images, in pixels. */
  setModel(model, side) {
    if (model === this.model && side === this.side) return;
    this._ask(() => {
      this.model = model;
      this.side = side;
      for (const image of this.images) image.copy = undefined;
    }, true);
  }

  /** Send large images as they are, or smaller copies of them. */
  setOriginals(originals) {
    if (originals !== this.originals) this._ask(() => { this.originals = originals; }, true);
  }

  /** Send again what has no scores; also images that have failed. */
  retry() {
    this._ask(() => {});
  }

  get counts() {
    const of = (state) => this.images.filter((image) => image.state === state).length;
    const reduced = this.originals ? 0 : this.images.filter((image) => image.copy).length;
    return { all: this.images.length, ranked: of("ranked"), failed: of("failed"), reduced };
  }

  // All scores are asked for again: probabilities are shares among all texts.
  _ask(change, forget = false) {
    this._run.abort();
    this._run = new AbortController();
    this._working = 0;
    change();
    this.warnings = [];
    for (const image of this.images) {
      image.state = "waiting";
      image.error = "";
      if (forget) image.scores = null;
    }
    this._changed("texts");
    this._work();
  }

  _work() {
    const { signal } = this._run;
    while (this._begun && this._working < AT_ONCE && this.texts.length > 0 && !signal.aborted) {
      const group = this._take();
      if (group.length === 0) return;
      this._working += 1;
      this._send(group, signal).catch((error) => this._stop(error, signal)).finally(() => {
        if (signal.aborted) return;
        this._working -= 1;
        this._work();
      });
    }
  }

  _take() {
    const group = this.images.filter((image) => image.state === "waiting").slice(0, Math.min(GROUP, this.limits.max_images));
    for (const image of group) image.state = "sent";
    return group;
  }

  // What is sent of an image, at most `room` bytes; null where nothing can be.
  async _read(image, room, signal) {
    if (!this.originals && image.copy === undefined) {
      const copy = await reduce(image.file, this.side, room);
      if (signal.aborted) return null; // the copy may be one for another model
      image.copy = copy;
    }
    const content = (!this.originals && image.copy?.blob) || image.file;
    if (content.size > room) {
      this._fail(image, `larger than ${megabytes(room)}, which this server takes at most`);
      return null;
    }
    try {
      // read first: a request with a file that was changed or removed since fails as a whole
      return new Blob([await content.arrayBuffer()], { type: content.type });
    } catch {
      if (!signal.aborted) this._fail(image, "the file can no longer be read");
      return null;
    }
  }

  async _send(group, signal) {
    const { texts } = this;
    const form = new FormData();
    const readable = [];
    const room = this.limits.max_body - BODY_MARGIN - 4 * texts.join("").length;
    let left = room;
    for (const image of group) {
      const content = await this._read(image, room, signal);
      if (signal.aborted) return;
      if (content === null) continue;
      if (readable.length > 0 && content.size + PART_BYTES > left) {
        image.state = "waiting"; // for a later request
        continue;
      }
      left -= content.size + PART_BYTES;
      form.append("images", content, image.file.name || "image");
      readable.push(image);
    }
    if (readable.length === 0) return;
    for (const text of texts) form.append("texts", text);
    if (this.template) form.append("templates", this.template);
    if (this.model) form.append("model", this.model);
    try {
      const record = await (await ask("v1/rank", { body: form, signal, report: this._report })).json();
      if (!signal.aborted) this._keep(readable, record, texts);
    } catch (error) {
      if (signal.aborted) return;
      this._blame(readable, error);
    }
  }

  _keep(group, record, texts) {
    group.forEach((image, place) => {
      image.scores = {
        texts,
        similarity: record.similarity.map((row) => row[place]),
        probabilities: record.probabilities.map((row) => row[place]),
        best: record.best[place],
      };
      image.state = "ranked";
    });
    this.head = record.model.head;
    this.warnings = [...new Set([...this.warnings, ...record.warnings])];
    this._changed("scores");
  }

  // One image that cannot be read fails a request: it is left out, and the others are sent again.
  _blame(group, error) {
    const guilty = group[error.index] ?? (error.status === 413 && group.length === 1 ? group[0] : null);
    if (guilty === null && error.status !== 413) throw error;
    if (guilty === null) this.limits = { ...this.limits, max_images: Math.ceil(group.length / 2) };
    for (const image of group) image.state = "waiting";
    if (guilty !== null) this._fail(guilty, error.message);
  }

  _fail(image, error) {
    image.state = "failed";
    image.error = error;
    image.scores = null;
    this._changed("scores");
  }

  _stop(error, signal) {
    if (signal.aborted) return;
    this._run.abort();
    this._working = 0;
    for (const image of this.images) if (image.state === "sent") image.state = "waiting";
    this._changed("scores");
    this._stopped(error);
  }
}

function megabytes(bytes) {
  return `${(bytes / 2 ** 20).toFixed(1)} MB`;
}
