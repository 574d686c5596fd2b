// The view, the query and the model ↔ the fragment of the page's address, which browsers keep to themselves.

/** `{view, values}`: "rank", "search" or "" for neither, and a URLSearchParams. */
export function readAddress() {
  const fragment = window.location.hash.slice(1);
  const [view] = fragment.split("?", 1);
  return { view: ["rank", "search"].includes(view) ? view : "", values: new URLSearchParams(fragment.slice(view.length + 1)) };
}

/** Put a view into the address; `step` makes it one that the browser goes back from. Values are lists of strings. */
export function writeAddress(view, values, { step = false } = {}) {
  const parameters = new URLSearchParams();
  for (const [name, entries] of Object.entries(values)) {
    for (const entry of entries) if (entry !== "") parameters.append(name, entry);
  }
  const query = parameters.toString();
  const fragment = `#${view}${query ? `?${query}` : ""}`;
  if (fragment === window.location.hash) return;
  window.history[step ? "pushState" : "replaceState"](null, "", fragment);
}
