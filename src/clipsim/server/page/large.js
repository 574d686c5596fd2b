// A result of a search → its image at full size, over the page.

import { make } from "./matrix.js";
import { ask } from "./requests.js";

const find = (id) => document.getElementById(id);
let results = []; // `{image, file}` in the order of the page
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

/** A button that copies the path of an image, as the server names it. */
export function makeCopyButton(className, pathOf) {
  const button = make("button", className, "copy path");
  button.type = "button";
  button.addEventListener("click", async () => {
    button.textContent = await copy(pathOf(), button) ? "copied" : "not copied";
    setTimeout(() => { button.textContent = "copy path"; }, 2000);
  });
  return button;
}

export function startLarge() {
  find("large-bar").insertBefore(makeCopyButton("", () => results[place].image), find("large-before"));
  find("large-before").addEventListener("click", () => show(place - 1));
  find("large-after").addEventListener("click", () => show(place + 1));
  find("large-close").addEventListener("click", () => find("large").close());
  find("large-image").addEventListener("click", ({ target }) => target.classList.toggle("whole"));
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
  const { image, file } = results[index];
  setImage(null);
  find("large-name").textContent = image;
  find("large-status").textContent = "Loading…";
  if (!find("large").open) find("large").showModal();
  try {
    // the page is served under the same path, whatever a proxy calls it
    const blob = await (await ask(file.slice(file.lastIndexOf("/v1/") + 1), { signal })).blob();
    if (signal.aborted) return;
    setImage(blob);
    find("large-status").textContent = "";
  } catch (error) {
    if (!signal.aborted) find("large-status").textContent = error.message;
  }
}

function setImage(blob) {
  const image = find("large-image");
  if (image.src) URL.revokeObjectURL(image.src);
  image.classList.remove("whole");
  image.hidden = blob === null;
  if (blob === null) image.removeAttribute("src");
  else image.src = URL.createObjectURL(blob);
  image.alt = blob === null ? "" : find("large-name").textContent;
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
