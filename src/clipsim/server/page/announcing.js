// A sentence → what a screen reader says; it is not seen.

/** Say a sentence, also one that was said before. */
export function announce(sentence) {
  const region = document.getElementById("announcement");
  region.replaceChildren();
  setTimeout(() => { region.textContent = sentence; }, 50); // a change that is seen as one
}
