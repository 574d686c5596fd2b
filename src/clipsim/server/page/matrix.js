// Images and their scores → the rows and cells of the table.

const compare = new Intl.Collator(undefined, { numeric: true }).compare;
const NAME_WIDTH = 224, CELL_WIDTH = 92; // pixels of the narrowest columns

/** An element with a class and a text; a text is never markup. */
export function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

/** An image of a file or Blob, or a blank where the browser cannot show it, which calls `failed`. */
export function makeImage(blob, failed = () => {}) {
  const image = make("img");
  image.alt = "";
  image.decoding = "async";
  const address = URL.createObjectURL(blob);
  image.addEventListener("error", () => {
    image.replaceWith(make("span", "no-image"));
    failed();
  }, { once: true });
  image.addEventListener("load", () => URL.revokeObjectURL(address), { once: true });
  image.src = address;
  return image;
}

/** What is said of an image of which a smaller copy is sent. */
export const describeCopy = ({ width, height }) => `sent at ${width} × ${height}`;

export const formatSimilarity = (value) => value.toFixed(4);
export const formatProbability = (value) => (value === null ? "–" : `${(100 * value).toFixed(1)}%`);

/** The table of a Ranking, one row an image and one column a text. */
export class Matrix {
  /** `order(value)` is called with a column whose heading was pressed, `remove(id)` with an image to leave out. */
  constructor(table, { order, remove }) {
    this._table = table;
    this._wrapper = table.parentElement;
    this._order = order;
    this._remove = remove;
    this._rows = new Map(); // id of an image → {row, cells, failure}
    this._heads = new Map(); // id of an image → the first cell of its row, which outlives a change of the texts
    this._texts = [];
    new ResizeObserver(() => this._fit()).observe(this._wrapper);
  }

  /** Draw what has changed. `view` is `{shown, order, reversed, originals}`. Gives the lowest and highest similarity. */
  draw(ranking, view) {
    const { texts, images } = ranking;
    if (texts.join("\n") !== this._texts.join("\n") || !this._table.tHead) this._begin(texts);
    const kept = new Set(images.map((image) => image.id));
    for (const [id, { row }] of this._rows) {
      if (!kept.has(id)) {
        row.remove();
        this._rows.delete(id);
        this._heads.delete(id);
      }
    }
    for (const image of images) if (!this._rows.has(image.id)) this._rows.set(image.id, this._makeRow(image));
    const scored = new Map(images.map((image) => [image.id, byText(image)]));
    const range = spread(scored.values(), texts);
    for (const image of images) this._fill(image, scored.get(image.id), range, view);
    this._mark(ranking, view);
    this._arrange(sorted(images, scored, view));
    return range;
  }

  _begin(texts) {
    this._texts = texts;
    this._rows.clear();
    this._table.style.setProperty("--columns", String(Math.max(1, texts.length)));
    this._table.replaceChildren();
    const row = this._table.createTHead().insertRow();
    this._table.tHead.setAttribute("role", "rowgroup");
    row.setAttribute("role", "row");
    row.append(this._makeHeading("image", "name"), ...texts.map((text) => this._makeHeading(text, `text:${text}`)));
    this._table.createTBody().setAttribute("role", "rowgroup");
    this._fit();
  }

  _makeHeading(label, order) {
    const heading = make("th");
    heading.scope = "col";
    heading.dataset.order = order;
    heading.setAttribute("role", "columnheader");
    const button = make("button", "name", label);
    button.type = "button";
    button.addEventListener("click", () => this._order(order));
    heading.append(button, make("span", "share"));
    return heading;
  }

  _makeRow(image) {
    const row = make("tr");
    row.setAttribute("role", "row");
    if (!this._heads.has(image.id)) this._heads.set(image.id, this._makeHead(image));
    const cells = this._texts.map((text) => {
      const cell = make("td", "score");
      cell.dataset.label = text;
      cell.setAttribute("role", "cell");
      cell.append(make("b"), make("span", "share"));
      return cell;
    });
    const failure = make("td", "failure broken name");
    failure.setAttribute("role", "cell");
    row.append(this._heads.get(image.id), ...cells);
    return { row, cells, failure };
  }

  _makeHead({ id, file }) {
    const head = make("th", "image");
    head.scope = "row";
    head.setAttribute("role", "rowheader");
    const remove = make("button", "remove", "×");
    remove.type = "button";
    remove.setAttribute("aria-label", `Remove ${file.name}`);
    remove.addEventListener("click", () => this._remove(id));
    const label = make("span", "label");
    const unshown = make("span", "unshown soft");
    const image = makeImage(file, () => { unshown.textContent = "not shown by this browser, sent as it is"; });
    label.append(make("span", "name", file.name), unshown, make("span", "sent soft"));
    head.append(image, label, remove);
    return head;
  }

  _fill(image, scores, range, view) {
    const { row, cells, failure } = this._rows.get(image.id);
    row.classList.toggle("waiting", image.state === "waiting" || image.state === "sent");
    const sent = this._heads.get(image.id).querySelector(".sent");
    sent.textContent = view.originals || !image.copy ? "" : describeCopy(image.copy);
    if (image.state === "failed") {
      failure.textContent = image.error;
      if (!failure.isConnected) {
        for (const cell of cells) cell.remove();
        row.append(failure);
      }
      return;
    }
    if (failure.parentElement) {
      failure.remove();
      row.append(...cells);
    }
    this._texts.forEach((text, place) => fillCell(cells[place], scores.get(text), range, view));
  }

  _mark(ranking, view) {
    const wins = new Map();
    for (const image of ranking.images) {
      const best = image.scores?.texts[image.scores.best];
      if (best !== undefined && ranking.texts.length > 1) wins.set(best, (wins.get(best) ?? 0) + 1);
    }
    for (const heading of this._table.tHead.rows[0].cells) {
      const { order } = heading.dataset;
      heading.removeAttribute("aria-sort");
      if (order === view.order) {
        const ascending = (order === "name") !== view.reversed;
        heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      }
      const count = wins.get(order.slice("text:".length)) ?? 0;
      heading.lastElementChild.textContent = order === "name" || count === 0 ? "" : `best for ${count}`;
    }
  }

  _arrange(images) {
    const body = this._table.tBodies[0];
    const rows = images.map((image) => this._rows.get(image.id).row);
    if (rows.length === body.rows.length && rows.every((row, place) => row === body.rows[place])) return;
    const focused = document.activeElement;
    body.append(...rows);
    if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true });
  }

  _fit() {
    const scrolls = NAME_WIDTH + CELL_WIDTH * this._texts.length > this._wrapper.clientWidth;
    this._wrapper.classList.toggle("scrolls", scrolls);
    if (scrolls) this._wrapper.tabIndex = 0; // so that the arrow keys scroll it
    else this._wrapper.removeAttribute("tabindex");
  }
}

/** An image's scores by text: `{similarity, probability, best}`. */
function byText({ scores }) {
  const found = new Map();
  scores?.texts.forEach((text, place) => {
    found.set(text, {
      similarity: scores.similarity[place],
      probability: scores.probabilities[place],
      best: scores.best === place && scores.texts.length > 1, // of one text, each image's best says nothing
    });
  });
  return found;
}

function spread(scored, texts) {
  let [low, high] = [Infinity, -Infinity];
  for (const scores of scored) {
    for (const text of texts) {
      const score = scores.get(text);
      if (score) [low, high] = [Math.min(low, score.similarity), Math.max(high, score.similarity)];
    }
  }
  return { low, high };
}

function fillCell(cell, score, range, { shown }) {
  const [main, side] = cell.children;
  cell.classList.toggle("pending", !score);
  cell.classList.toggle("best", Boolean(score?.best));
  if (!score) {
    main.textContent = "…";
    side.textContent = "";
    cell.style.setProperty("--h", "0");
    cell.style.setProperty("--p", "0");
    return;
  }
  const values = [formatSimilarity(score.similarity), formatProbability(score.probability)];
  [main.textContent, side.textContent] = shown === "similarity" ? values : values.reverse();
  const strength = (score.similarity - range.low) / (range.high - range.low || 1);
  cell.style.setProperty("--h", String(shown === "similarity" ? strength : score.probability ?? 0));
  cell.style.setProperty("--p", String(score.probability ?? 0));
}

function sorted(images, scored, { shown, order, reversed }) {
  const found = [...images];
  if (order === "name") {
    found.sort((a, b) => compare(a.file.name, b.file.name));
  } else if (order !== "given") {
    const text = order.slice("text:".length);
    const valueOf = ({ id }) => {
      const score = scored.get(id).get(text);
      return (shown === "probability" ? score?.probability : score?.similarity) ?? score?.similarity ?? -Infinity;
    };
    const values = new Map(found.map((image) => [image, Math.round(valueOf(image) * 1e6)])); // ties as everywhere
    found.sort((a, b) => values.get(b) - values.get(a) || a.id - b.id);
  }
  return reversed ? found.reverse() : found;
}
