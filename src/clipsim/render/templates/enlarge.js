// A click on a thumbnail shows its file in this page; with a modifier key, or where that cannot be, it is a plain link.
(() => {
  if (location.protocol !== "file:") return; // the policy of the page lets it show files of this machine only
  const links = () => [...document.querySelectorAll("a.file")].filter((link) => link.checkVisibility());
  const make = (tag, className, text = "") => {
    const element = document.createElement(tag);
    element.className = className;
    element.textContent = text;
    return element;
  };
  const dialog = make("dialog", "large");
  const bar = make("p", "bar");
  const name = make("a", "name");
  const [before, after, close] = [["←", "Previous image"], ["→", "Next image"], ["×", "Close"]].map(([sign, label]) => {
    const button = make("button", "", sign);
    button.type = "button";
    button.setAttribute("aria-label", label);
    return button;
  });
  const image = make("img", "");
  const failure = make("p", "legend", "The browser cannot show this file. Its name above is a link to it.");
  let shown = null;

  const show = (link) => {
    if (!link) return;
    shown = link;
    name.href = link.href;
    name.textContent = link.getAttribute("aria-label").replace(/^Open /, "");
    image.alt = name.textContent;
    image.hidden = failure.hidden = true;
    image.src = link.href;
    if (!dialog.open) dialog.showModal();
  };
  const step = (by) => {
    const all = links();
    show(all[all.indexOf(shown) + by]);
  };
  image.addEventListener("load", () => { image.hidden = false; });
  image.addEventListener("error", () => { failure.hidden = false; });
  before.addEventListener("click", () => step(-1));
  after.addEventListener("click", () => step(1));
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by) step(by);
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => {
    if (dialog.open) return; // it was opened again before this event came
    image.removeAttribute("src");
    shown?.focus();
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a.file");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    show(link);
  });
  bar.append(name, before, after, close);
  dialog.append(bar, image, failure);
  document.body.append(dialog);
})();
