// Boxes to tick on the images of a group → the list of their paths, quoted for a shell; one image of a group stays.
(() => {
  const tiles = [...document.querySelectorAll("li[data-path]")];
  const panel = document.getElementById("removal");
  if (tiles.length === 0 || !panel) return;
  const [list, message, copies] = ["removal-list", "removal-message", "removal-copies"].map((id) => document.getElementById(id));
  const boxes = new Map(); // a path → its boxes: an image may be in two groups
  const groupOf = (box) => box.closest(".group");
  const isFull = (group) => [...group.querySelectorAll(".gallery > li")].every((tile) => tile.querySelector("input")?.checked);
  const set = (path, checked) => { for (const box of boxes.get(path)) box.checked = checked; };

  const draw = () => {
    const paths = [...boxes.keys()].filter((path) => boxes.get(path)[0].checked);
    list.value = paths.join(" \\\n");
    list.rows = Math.min(12, Math.max(2, paths.length));
    document.getElementById("removal-count").value = `${paths.length.toLocaleString()} ${paths.length === 1 ? "image" : "images"}`;
  };
  /** Tick all boxes of a path, unless that would leave nothing of a group; returns the group that would be empty. */
  const tick = (path) => {
    set(path, true);
    const full = boxes.get(path).map(groupOf).find(isFull);
    if (full) set(path, false);
    return full;
  };
  for (const tile of tiles) {
    const { path } = tile.dataset;
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.autocomplete = "off";
    label.className = "pick";
    label.append(box, " remove");
    tile.append(label);
    boxes.set(path, [...(boxes.get(path) ?? []), box]);
    box.addEventListener("change", () => {
      const full = box.checked ? tick(path) : set(path, false);
      message.textContent = full ? `Not ticked: one image of “${full.querySelector("h2").textContent}” has to stay.` : "";
      draw();
    });
  }
  const removable = tiles.filter((tile) => "copy" in tile.dataset);
  copies.hidden = removable.length === 0;
  copies.addEventListener("click", () => {
    const kept = removable.filter((tile) => !boxes.get(tile.dataset.path)[0].checked && tick(tile.dataset.path));
    message.textContent = kept.length === 0 ? "" : `${kept.length.toLocaleString()} not ticked: one image of each group has to stay.`;
    draw();
  });
  document.getElementById("removal-none").addEventListener("click", () => {
    for (const path of boxes.keys()) set(path, false);
    message.textContent = "";
    draw();
  });
  list.addEventListener("focus", () => list.select());
  draw();
  panel.hidden = false;
})();
