// A query → the images of the served folder that fit it best.

import { writeAddress } from "./address.js";
import { announce } from "./announcing.js";
import { makeCopyButton, openLarge, setResults } from "./large.js";
import { describeCopy, formatSimilarity, make, makeImage } from "./matrix.js";
import { reduce } from "./reduce.js";
import { ask, RequestError } from "./requests.js";

const find = (id) => document.getElementById(id);
const linesOf = (id) => find(id).value.split("\n").map((line) => line.trim()).filter((line) => line !== "");

let image = null; // the query's, a File
let run = new AbortController();
let describeTarget = () => ({}); // `{model, side, room, originals}` of the next search
let searched = () => {};

/**
 * Make the form search; `problem(message)` shows what went wrong, "" that nothing did. `describe()` gives the next
 * search's `{model, side, room, originals}`: its model, the side of that model's images, the bytes that may be sent of
 * an image, and whether large images are sent as they are. `answered(record)` is called with each answer.
 */
export function startSearch({ report, problem, describe, answered }) {
  describeTarget = describe;
  searched = answered;
  find("search-form").addEventListener("submit", (event) => {
    event.preventDefault();
    keepAddress({ step: true });
    search(report, problem);
  });
  find("query-file").addEventListener("change", ({ currentTarget: input }) => {
    if (input.files.length > 0) setQueryImage(input.files[0]);
    input.value = "";
  });
  find("query-clear").addEventListener("click", () => {
    setQueryImage(null);
    find("query-file").focus();
  });
}

/** Search by this file, beside the text. */
export function setQueryImage(file) {
  image = file;
  const shown = find("query-image");
  shown.hidden = file === null;
  find("query-sent").textContent = "";
  if (file === null) return;
  announce(`Search by ${file.name}`);
  shown.firstElementChild.replaceWith(makeImage(file));
  shown.children[1].textContent = file.name;
}

/** Whether there is something to search for. */
export const hasQuery = () => find("query").value.trim() !== "" || image !== null;

/** Put the form into the address; an image of the query is not in it. */
export function keepAddress({ step = false } = {}) {
  const values = { q: [find("query").value.trim()], plus: linesOf("plus"), minus: linesOf("minus") };
  for (const id of ["weight", "top", "least"]) {
    values[id] = find(id).value === find(id).defaultValue ? [] : [find(id).value];
  }
  writeAddress("search", { ...values, model: [find("model").value] }, { step });
}

/** Fill the form from the values of an address, and search for them. */
export function searchFor(values) {
  find("query").value = values.get("q") ?? "";
  for (const id of ["plus", "minus"]) find(id).value = values.getAll(id).join("\n");
  for (const id of ["weight", "top", "least"]) find(id).value = values.get(id) ?? find(id).defaultValue;
  find("refine").open = ["plus", "minus", "weight", "top", "least"].some((id) => values.has(id));
  keepAddress();
  if (hasQuery()) find("search-form").requestSubmit();
}

async function search(report, problem) {
  run.abort();
  run = new AbortController();
  const { signal } = run;
  const status = find("search-status");
  const text = find("query").value.trim();
  if (!text && !image) {
    status.textContent = "Type a text or choose an image to search for.";
    find("query").focus();
    return;
  }
  problem("");
  status.textContent = "Searching…";
  const { model, side, room, originals } = describeTarget();
  try {
    const copy = image && !originals ? await reduce(image, side, room) : null;
    if (signal.aborted) return;
    find("query-sent").textContent = copy ? describeCopy(copy) : "";
    const file = copy?.blob ?? image;
    if (file && file.size > room) throw new RequestError(0, `${image.name}: larger than this server takes`);
    const query = {
      texts: text ? [text] : [],
      images: file ? [await readAddress(file, image.name)] : [],
      plus: linesOf("plus"),
      minus: linesOf("minus"),
      weight: find("weight").valueAsNumber,
      top: find("top").valueAsNumber,
      model,
    };
    if (find("least").value !== "") query.min_similarity = find("least").valueAsNumber;
    const answer = await ask("v1/search", { body: JSON.stringify(query), signal, report });
    const record = await answer.json();
    searched(record);
    show(record, image?.name, signal);
  } catch (error) {
    if (signal.aborted) return;
    status.textContent = "";
    problem(error.message);
  }
}

function show(record, name, signal) {
  const { indexed, queries, model } = record;
  const count = Math.max(...queries.map((query) => query.results.length));
  find("search-status").textContent = count === 0
    ? `No image of ${indexed.toLocaleString()} fits; a lower least similarity may find some.`
    : `The best ${count.toLocaleString()} of ${indexed.toLocaleString()} images, by ${model.name}. Numbers are cosine similarities.`;
  setResults(queries.flatMap((query) => query.results));
  const all = queries.flatMap((query) => query.results.map((result) => result.similarity));
  const [low, high] = [Math.min(...all), Math.max(...all)];
  find("results").replaceChildren(...queries.map((query) => {
    const section = make("section", "answer");
    if (queries.length > 1) section.append(make("h2", "name", query.text ?? name ?? "the image"));
    const list = make("ol", "gallery");
    list.setAttribute("role", "list"); // which lists without markers are not, to some
    list.ariaLabel = "Results, best first";
    list.append(...query.results.map((result) => makeResult(result, low, high, signal)));
    section.append(list);
    return section;
  }));
}

function makeResult(result, low, high, signal) {
  const item = make("li");
  const score = make("span", "score");
  const rank = make("span", "rank");
  rank.append(make("span", "unseen", "rank "), String(result.rank));
  score.append(rank, make("span", "unseen", "similarity "), make("b", "", formatSimilarity(result.similarity)));
  score.style.setProperty("--h", String((result.similarity - low) / (high - low || 1)));
  const blank = make("span", "no-image");
  const open = make("button", "open");
  open.type = "button";
  open.setAttribute("aria-label", `Open ${result.image}`);
  open.append(blank);
  open.addEventListener("click", () => openLarge(result, open));
  item.append(open, make("span", "name", result.image), makeCopyButton("link", () => result.image, ` of ${result.image}`), score);
  if (result.thumbnail) {
    // not as the address of an image, which would be asked for without the token
    ask(result.thumbnail.slice(result.thumbnail.lastIndexOf("/v1/") + 1), { signal }).then((answer) => answer.blob())
      .then((blob) => blank.replaceWith(makeImage(blob))).catch(() => {});
  }
  return item;
}

function readAddress(file, name) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => {
      resolve(reader.result.replace(/^data:[^,]*,/, "data:application/octet-stream;base64,"));
    });
    reader.addEventListener("error", () => reject(new RequestError(0, `${name}: the file can no longer be read`)));
    reader.readAsDataURL(file);
  });
}
