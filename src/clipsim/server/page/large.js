// A result of a search → its image at full size, over the page.

import { announce } from "./announcing.js";
import { formatSimilarity, make } from "./matrix.js";
import { ask } from "./requests.js";

const find = (id) => document.getElementById(id);
let results = []; // `{image, file, similarity}` in the order of the page
let place = 0;
let opener = null; // what gets the focus back
let run = new AbortController();

/** The results between which the arrow keys go. */
export function setResults(all) {
  results = all;
}

/** Show a result; `button` is what was pressed. */
export function openLarge(result, button) {
  opener = button;
  show(results.indexOf(result));
}

/** A button that copies the path of an image, as the server names it; `of` is said to those who do not see the page. */
export function makeCopyButton(className, pathOf, of = "") {
  const button = make("button", className);
  const label = make("span", "", "copy path");
  button.type = "button";
  button.append(label, make("span", "unseen", of));
  button.addEventListener("click", async () => {
    label.textContent = await copy(pathOf(), button) ? "copied" : "not copied";
    announce(`Path ${label.textContent}`);
    setTimeout(() => { label.textContent = "copy path"; }, 2000);
  });
  return button;
}

export function startLarge() {
  find("large-whole").before(makeCopyButton("", () => results[place].image));
  find("large-whole").addEventListener("click", () => setWhole(!find("large-image").classList.contains("whole")));
  find("large-before").addEventListener("click", () => show(place - 1));
  find("large-after").addEventListener("click", () => show(place + 1));
  find("large-close").addEventListener("click", () => find("large").close());
  find("large-image").addEventListener("click", () => find("large-whole").click());
  find("large").addEventListener("keydown", ({ key }) => {
    if (key === "ArrowLeft") show(place - 1);
    if (key === "ArrowRight") show(place + 1);
  });
  find("large").addEventListener("click", ({ target }) => { if (target === find("large")) find("large").close(); });
  find("large").addEventListener("close", () => {
    if (find("large").open) return; // it was opened again before this event came
    run.abort();
    setImage(null);
    opener?.focus();
  });
}

async function show(index) {
  if (!results[index]) return;
  place = index;
  run.abort();
  run = new AbortController();
  const { signal } = run;
  const { image, file, similarity } = results[index];
  setImage(null);
  find("large-name").textContent = image;
  find("large-before").ariaDisabled = String(index === 0);
  find("large-after").ariaDisabled = String(index === results.length - 1);
  find("large-status").textContent = "Loading…";
  if (!find("large").open) find("large").showModal();
  try {
    // the page is served under the same path, whatever a proxy calls it
    const blob = await (await ask(file.slice(file.lastIndexOf("/v1/") + 1), { signal })).blob();
    if (signal.aborted) return;
    setImage(blob);
    find("large-status").textContent = `Image ${index + 1} of ${results.length}, similarity ${formatSimilarity(similarity)}`;
  } catch (error) {
    if (!signal.aborted) find("large-status").textContent = error.message;
  }
}

function setImage(blob) {
  const image = find("large-image");
  if (image.src) URL.revokeObjectURL(image.src);
  setWhole(false);
  image.hidden = blob === null;
  if (blob === null) image.removeAttribute("src");
  else image.src = URL.createObjectURL(blob);
  image.alt = blob === null ? "" : find("large-name").textContent;
}

function setWhole(whole) {
  find("large-image").classList.toggle("whole", whole);
  find("large-whole").ariaPressed = String(whole);
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { // not allowed, or a page that is not from this machine and not encrypted
    const area = make("textarea");
    area.value = text;
    button.after(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    button.focus();
    return copied;
  }
}
