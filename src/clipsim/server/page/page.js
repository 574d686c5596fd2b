// The page: what a person drops, types and chooses → a Ranking and its Matrix, or a search.

import { readAddress, writeAddress } from "./address.js";
import { announce } from "./announcing.js";
import { ACCEPTED, filesOf, partition } from "./dropped.js";
import { startLarge } from "./large.js";
import { Matrix, formatSimilarity, make } from "./matrix.js";
import { Ranking } from "./ranking.js";
import { ask, setToken } from "./requests.js";
import { hasQuery, keepAddress, searchFor, setQueryImage, startSearch } from "./search.js";

const find = (id) => document.getElementById(id);
const plural = (count, one) => `${count.toLocaleString()} ${one}${count === 1 ? "" : "s"}`;

const report = (sentence) => {
  find("wait").textContent = sentence;
  find("wait").hidden = sentence === "";
  if (sentence) announce(sentence);
};
let again = () => {};
const problem = (message, retry = null) => {
  find("problem-text").textContent = message;
  find("problem").hidden = message === "";
  find("retry").hidden = retry === null;
  again = retry ?? again;
};

const ranking = new Ranking({
  report,
  stopped: (error) => problem(error.message, () => ranking.retry()),
  changed: (what) => {
    if (what === "texts") {
      problem("");
      drawTexts();
      if (begun && !find("rank").hidden) keepRanking();
    }
    if (!begun) begin(); // which failed before
    requestDraw();
  },
});
const matrix = new Matrix(find("scores"), {
  order: (value) => {
    find("reversed").checked = find("order").value === value && !find("reversed").checked;
    find("order").value = value;
    requestDraw();
  },
  remove: (id) => removeImage(id),
});

let models = new Map(); // by their names, as /v1/models describes them
let searchNotices = []; // of the last answer
let addressNotice = ""; // of a model that the address names and the server does not have
let fileNotice = ""; // of files that are no images
let announced = ""; // of the progress
let begun = false; // before, the address is not read yet
let beginning = false;
let drawing = false;
function requestDraw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    draw();
  });
}

function draw() {
  const { texts, images, counts } = ranking;
  const ready = texts.length > 0 && images.length > 0;
  for (const id of ["tools", "scores"]) find(id).hidden = !ready && images.length === 0;
  find("tools").hidden = !ready;
  find("empty").hidden = ready;
  find("empty").textContent = images.length > 0 ? "Add a text to rank the images by."
    : texts.length > 0 ? "Add an image to see how well the texts fit it."
      : "The scores appear here as soon as there is an image and a text.";
  find("images-count").textContent = images.length === 0 ? "No images yet" : plural(images.length, "image");
  find("clear").hidden = images.length === 0;
  const view = {
    shown: document.querySelector("[name=shown]:checked").value,
    order: find("order").value || "given",
    reversed: find("reversed").checked,
    originals: ranking.originals,
  };
  const range = matrix.draw(ranking, view);
  drawProgress(ready, counts);
  drawLegend(view.shown, range);
  drawNotices();
}

/** What is to be known of the chosen model, and of what it has answered. */
function drawNotices() {
  const searching = find("rank").hidden;
  const model = models.get(find("model").value);
  const other = searching && model && !model.search
    ? [`${model.id} cannot search these images; ${find("search").dataset.model} does.`] : [];
  const notices = [fileNotice, addressNotice, ...other, ...(model?.warnings ?? []), ...(searching ? searchNotices : ranking.warnings)];
  const distinct = [...new Set(notices)].filter((notice) => notice !== "");
  const list = find("warnings");
  list.hidden = distinct.length === 0;
  if ([...list.children].map((item) => item.textContent).join("\n") === distinct.join("\n")) return;
  list.replaceChildren(...distinct.map((notice) => make("li", "name", notice)));
  if (distinct.length > 0) announce(distinct.join(" "));
}

function drawProgress(ready, { all, ranked, failed, reduced }) {
  const done = ranked + failed;
  find("images-count").textContent += reduced > 0 ? `, ${reduced.toLocaleString()} made small` : "";
  const broken = failed > 0 ? `, ${failed.toLocaleString()} not readable` : "";
  find("progress").hidden = !ready || done === all;
  find("progress").max = all || 1;
  find("progress").value = done;
  find("progress-text").textContent = done === all ? `${plural(ranked, "image")} ranked${broken}`
    : `${ranked.toLocaleString()} of ${plural(all, "image")} ranked${broken}`;
  const ended = ready && done === all ? find("progress-text").textContent : ""; // each step would be too much to say
  if (ended !== "" && ended !== announced) announce(ended);
  announced = ended;
}

function drawLegend(shown, { low, high }) {
  const legend = find("legend");
  legend.hidden = !(high >= low);
  if (legend.hidden) return;
  const meaning = ranking.head === "sigmoid" ? "each pair's own (sigmoid)" : "the text's share among these texts (softmax)";
  const ends = shown === "similarity" ? [formatSimilarity(low), formatSimilarity(high)] : ["0%", "100%"];
  legend.replaceChildren(
    ends[0], make("span", "ramp"), `${ends[1]}. Similarity is the cosine; the probability is ${meaning}. ★ marks an image's best text.`,
  );
}

function drawTexts() {
  const { texts } = ranking;
  find("texts").replaceChildren(...texts.map((text) => {
    const chip = make("li");
    const remove = make("button", "remove", "×");
    remove.type = "button";
    remove.setAttribute("aria-label", `Remove ${text}`);
    remove.addEventListener("click", () => removeText(text));
    chip.append(make("span", "name", text), remove);
    return chip;
  }));
  const order = find("order");
  const chosen = order.value;
  const options = [["as added", "given"], ["name", "name"], ...texts.map((text) => [text, `text:${text}`])];
  order.replaceChildren(...options.map(([label, value]) => new Option(label, value)));
  order.value = options.some(([, value]) => value === chosen) ? chosen : "given";
}

// What was removed had the focus: it goes to the next one, or to where one adds.
function removeText(text) {
  const place = ranking.texts.indexOf(text);
  ranking.removeText(text);
  const left = find("texts").querySelectorAll("button");
  (left[Math.min(place, left.length - 1)] ?? find("text")).focus();
}

function removeImage(id) {
  const rows = [...find("scores").tBodies[0].rows];
  const place = rows.findIndex((row) => row.contains(document.activeElement));
  ranking.remove(new Set([id]));
  draw();
  const left = find("scores").tBodies[0].rows;
  (left[Math.min(place, left.length - 1)]?.querySelector("button") ?? find("files")).focus();
}

function addTexts(texts) {
  ranking.addTexts(texts);
  find("text").value = "";
}

function addFiles(files) {
  if (files.length === 0) return;
  const { images, others } = partition([...files]);
  fileNotice = "";
  if (others.length > 0) {
    const [first, ...more] = others;
    const rest = more.length > 0 ? ` and ${plural(more.length, "other file")}` : "";
    fileNotice = `${first}${rest}: not sent, no image by name; the server reads JPEG, PNG, WebP, HEIC, RAW files and more.`;
  }
  drawNotices();
  if (images.length === 0) return;
  if (find("rank").hidden) setQueryImage(images[0]);
  else ranking.add(images);
}

/** Send large images as they are, or not, from now on. */
function setOriginals(originals) {
  for (const box of document.querySelectorAll(".originals")) box.checked = originals;
  ranking.setOriginals(originals);
}

/** Rank by the chosen model, with the sides of its images. */
function useModel() {
  const id = find("model").value;
  const model = models.get(id);
  if (model?.exact) setOriginals(true); // as the server was told to
  ranking.setModel(id, model?.image_size ?? 0);
  requestDraw();
}

let beforeToken = null; // what had the focus

function listen() {
  for (const id of ["files", "query-file"]) find(id).accept = ACCEPTED;
  find("files").addEventListener("change", ({ target }) => {
    addFiles(target.files);
    target.value = "";
  });
  find("clear").addEventListener("click", () => {
    ranking.remove(new Set(ranking.images.map((image) => image.id)));
    find("files").focus();
  });
  find("text-form").addEventListener("submit", (event) => {
    event.preventDefault();
    addTexts([find("text").value]);
  });
  find("text").addEventListener("paste", (event) => {
    const lines = (event.clipboardData?.getData("text/plain") ?? "").split(/\r?\n/);
    if (lines.length < 2) return;
    event.preventDefault();
    addTexts(lines);
  });
  find("template").addEventListener("change", ({ target }) => ranking.setTemplate(target.value.trim()));
  for (const box of document.querySelectorAll(".originals")) {
    box.addEventListener("change", () => setOriginals(box.checked));
  }
  find("model").addEventListener("change", () => {
    addressNotice = "";
    searchNotices = [];
    useModel();
    if (find("search").hidden) keepRanking();
    else if (hasQuery()) find("search-form").requestSubmit();
    else keepAddress();
  });
  find("tools").addEventListener("submit", (event) => event.preventDefault());
  find("tools").addEventListener("input", requestDraw);
  find("retry").addEventListener("click", () => {
    problem("");
    find(find("rank").hidden ? "query" : "text").focus();
    again();
  });
  find("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    find("token-form").hidden = true;
    setToken(find("token").value);
    find("token").value = "";
    beforeToken?.focus();
  });
  document.addEventListener("token-needed", ({ detail }) => {
    find("token-reason").textContent = detail.refused ? "The server refuses this token." : "This server asks for a token.";
    if (find("token-form").hidden) beforeToken = document.activeElement;
    find("token-form").hidden = false;
    find("token").focus();
  });
  document.addEventListener("paste", (event) => addFiles(event.clipboardData?.files ?? []));
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    document.body.classList.add("dragging");
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) document.body.classList.remove("dragging");
  });
  document.addEventListener("drop", async (event) => {
    document.body.classList.remove("dragging");
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    const files = await filesOf(event.dataTransfer);
    if (files.length === 0) fileNotice = "There are no images in what was dropped.";
    drawNotices();
    addFiles(files);
  });
  window.addEventListener("hashchange", followAddress);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible" && !find("views").hidden) countImages().catch(() => {});
  });
}

/** Put the texts, the template and the model into the address. */
function keepRanking() {
  writeAddress("rank", { text: ranking.texts, template: [ranking.template], model: [find("model").value] });
}

/** Show what the address says: a view, its query, its model. Where there is a folder, searching it comes first. */
function followAddress() {
  const { view, values } = readAddress();
  const searching = !find("views").hidden && view !== "rank";
  find("rank").hidden = searching;
  find("search").hidden = !searching;
  for (const link of find("views").children) {
    if (link.hash === (searching ? "#search" : "#rank")) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = searching ? "Search · clipsim" : "Rank · clipsim";
  const model = values.get("model");
  if (models.has(model)) find("model").value = model;
  addressNotice = model && !models.has(model) ? `This server has no model ${model}; ${find("model").value} is used.` : "";
  useModel();
  if (searching && values.has("q")) {
    searchFor(values);
  } else if (searching) {
    keepAddress();
  } else {
    if (values.has("text") || values.has("template")) {
      find("template").value = values.get("template") ?? "";
      ranking.setTemplate(find("template").value);
      ranking.setTexts(values.getAll("text"));
    }
    keepRanking();
  }
}

/** Say how many images the server searches; `indexing` are there and cannot be searched yet. */
function describeImages({ images, indexing }) {
  const more = indexing > 0 ? `, ${indexing.toLocaleString()} more are being read` : "";
  find("search-heading").textContent = `Search ${plural(images, "image")}${more}`;
}

async function countImages() {
  const { search } = await (await ask("v1/models", { report })).json();
  if (search) describeImages(search);
}

/** Ask which models there are and what may be sent, then begin. */
async function begin() {
  if (beginning) return;
  beginning = true;
  try {
    let facts = await (await ask("v1/models", { report })).json();
    find("model").replaceChildren(...facts.data.map(({ id, default: first }) => new Option(id, id, first, first)));
    find("model").disabled = facts.data.length === 1;
    if (facts.data.some((model) => !model.loaded)) {
      await ask("ready", { report });
      facts = await (await ask("v1/models", { report })).json();
    }
    const { data, limits, search } = facts;
    models = new Map(data.map((model) => [model.id, model]));
    ranking.limits = limits ?? ranking.limits;
    find("views").hidden = !search;
    if (search) {
      find("search").dataset.model = search.model;
      describeImages(search);
    }
    begun = true;
    const { texts } = ranking; // typed before
    followAddress();
    ranking.addTexts(texts);
    ranking.begin();
  } catch (error) {
    problem(error.message, begin);
  } finally {
    beginning = false;
  }
}

drawTexts();
listen();
startLarge();
startSearch({
  report,
  problem,
  describe: () => {
    const chosen = find("model").value;
    const model = models.get(chosen)?.search ? chosen : find("search").dataset.model;
    const room = Math.floor((ranking.limits.max_body - 65536) * 3 / 4); // of a body with base64
    return { model, side: models.get(model)?.image_size ?? 0, room, originals: ranking.originals };
  },
  answered: ({ indexed, indexing, warnings }) => {
    describeImages({ images: indexed, indexing });
    searchNotices = warnings;
    drawNotices();
  },
});
begin();
