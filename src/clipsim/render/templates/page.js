"use strict";
(() => {
  const tools = document.getElementById("tools");
  if (!tools) return;
  const filter = document.getElementById("filter");
  const count = document.getElementById("count");
  const table = document.getElementById("scores");
  const compare = new Intl.Collator(undefined, { numeric: true }).compare;

  const entriesOf = (elements) => elements.map((element, place) => {
    const name = element.querySelector(".name").textContent;
    return { element, place, name, folded: name.toLowerCase() };
  });
  const matching = (entries) => {
    const wanted = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    return entries.filter((entry) => wanted.every((word) => entry.folded.includes(word)));
  };
  const describe = (shown, all) => {
    const images = `${all.toLocaleString()} ${all === 1 ? "image" : "images"}`;
    count.value = shown === all ? images : `${shown.toLocaleString()} of ${images}`;
  };

  const makeSortable = () => {
    const SECTION = 50;
    const best = document.getElementById("best");
    const order = document.getElementById("order");
    const reverse = document.getElementById("reverse");
    const matrix = table.classList.contains("matrix");
    const rows = entriesOf([...table.tBodies].flatMap((section) => [...section.rows]));

    const scoreOf = (row, text) => {
      const cell = matrix ? row.cells[1 + text] : row.querySelector(`[data-text="${text}"]`);
      return cell ? parseFloat(cell.querySelector("b").textContent) : -Infinity;
    };
    const place = (shown) => {
      const sections = [];
      for (let start = 0; start < shown.length; start += SECTION) {
        const section = document.createElement("tbody");
        section.setAttribute("role", "rowgroup");
        section.append(...shown.slice(start, start + SECTION).map((entry) => entry.element));
        sections.push(section);
      }
      for (const section of [...table.tBodies]) section.remove();
      table.append(...sections);
    };
    const mark = () => {
      for (const heading of table.tHead.querySelectorAll("[data-order]")) {
        heading.removeAttribute("aria-sort");
        if (heading.dataset.order === order.value) {
          const ascending = (order.value === "name") !== reverse.checked;
          heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
        }
      }
      for (const button of document.querySelectorAll("#bests button")) {
        button.setAttribute("aria-pressed", String(button.dataset.text === best.value));
      }
    };
    const arrange = () => {
      let shown = matching(rows);
      if (best && best.value !== "") shown = shown.filter((entry) => entry.element.dataset.best === best.value);
      if (order.value === "name") {
        shown.sort((a, b) => compare(a.name, b.name) || a.place - b.place);
      } else if (order.value !== "given") {
        const text = Number(order.value);
        const scores = new Map(shown.map((entry) => [entry, scoreOf(entry.element, text)]));
        shown.sort((a, b) => (scores.get(b) - scores.get(a)) || a.place - b.place);
      }
      if (reverse.checked) shown.reverse();
      place(shown);
      mark();
      describe(shown.length, rows.length);
    };
    const addButton = (holder, press) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...holder.childNodes);
      holder.append(button);
      button.addEventListener("click", () => { press(button); arrange(); });
      return button;
    };
    for (const heading of table.tHead.querySelectorAll("[data-order]")) {
      addButton(heading, () => {
        reverse.checked = order.value === heading.dataset.order && !reverse.checked;
        order.value = heading.dataset.order;
      });
    }
    for (const entry of document.querySelectorAll("#bests li")) {
      const button = addButton(entry.querySelector(".name"), () => {
        best.value = best.value === entry.dataset.text ? "" : entry.dataset.text;
      });
      button.dataset.text = entry.dataset.text;
    }
    for (const control of [best, order, reverse]) control?.addEventListener("input", arrange);
    mark();
    describe(rows.length, rows.length);
    // a browser keeps what was chosen over a reload
    if (filter.value || best?.value || order.value !== "given" || reverse.checked) arrange();
    return arrange;
  };

  const makeFilterable = () => {
    const tiles = entriesOf([...document.querySelectorAll(".gallery > li")]);
    const groups = [...document.querySelectorAll(".group")];
    const arrange = () => {
      const shown = new Set(matching(tiles));
      for (const entry of tiles) entry.element.hidden = !shown.has(entry);
      for (const group of groups) { // one without images says why
        group.hidden = group.querySelector(".gallery > li") && !group.querySelector(".gallery > li:not([hidden])");
      }
      describe(shown.size, tiles.length);
    };
    arrange();
    return arrange;
  };

  const arrange = table ? makeSortable() : makeFilterable();
  filter.addEventListener("input", arrange);
  tools.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey && !/^(INPUT|SELECT)$/.test(event.target.tagName)) {
      event.preventDefault();
      filter.focus();
    } else if (event.key === "Escape" && event.target === filter) {
      filter.value = "";
      arrange();
    }
  });
  tools.hidden = false;
})();
