// A table: sorted by a click on a column's name, shown in pages, with downloads of the whole.

import { h, s, count } from "./dom.js";
import { downloadUrl } from "./api.js";

const PAGE = 25;
const NUMERIC = new Set(["integer", "number"]);
const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

function shown(cell, type) {
  if (cell === null || cell === undefined) return "";
  if (typeof cell === "number" && NUMERIC.has(type)) {
    return Number.isInteger(cell) ? String(cell) : String(Number(cell.toPrecision(12)));
  }
  return typeof cell === "object" ? JSON.stringify(cell) : String(cell);
}

function compare(a, b) {
  if (a === null || a === undefined) return b === null || b === undefined ? 0 : 1;
  if (b === null || b === undefined) return -1;
  if (typeof a === "number" && typeof b === "number") return a - b;
  return collator.compare(typeof a === "object" ? JSON.stringify(a) : String(a), typeof b === "object" ? JSON.stringify(b) : String(b));
}

export function tableView(table, { run, task, title, page = PAGE }) {
  const state = { by: -1, down: false, rows: table.rows, limit: page };
  const body = h("tbody");
  const more = h("button", { type: "button", class: "tool", click: () => { state.limit += 200; draw(); } });
  const heads = table.columns.map((column, index) => {
    const button = h("button", { type: "button", click: () => sort(index) }, h("span", {}, column.name),
      s("svg", { viewBox: "0 0 8 10", "aria-hidden": "true" }, s("path", { class: "up", d: "M1 4 4 1l3 3" }), s("path", { class: "dn", d: "M1 6l3 3 3-3" })));
    return h("th", { scope: "col", class: NUMERIC.has(column.type) ? "num" : null }, button);
  });

  function sort(index) {
    if (state.by !== index) Object.assign(state, { by: index, down: false });
    else if (!state.down) state.down = true;
    else state.by = -1;
    state.rows = state.by < 0 ? table.rows : [...table.rows].sort((a, b) => {
      const order = compare(a[index], b[index]);
      const blank = a[index] === null || b[index] === null;
      return state.down && !blank ? -order : order;
    });
    draw();
  }

  function draw() {
    heads.forEach((head, i) => {
      if (i === state.by) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    body.replaceChildren(...state.rows.slice(0, state.limit).map((row) => h("tr", {},
      table.columns.map((column, i) => h("td", { class: NUMERIC.has(column.type) ? "num" : null },
        row[i] === null || row[i] === undefined ? h("span", { class: "blank", "aria-label": "empty" }, "–") : shown(row[i], column.type))))));
    const left = table.rows.length - state.limit;
    more.hidden = left <= 0;
    more.textContent = `Show ${Math.min(left, 200).toLocaleString("en")} more`;
  }

  draw();
  const partial = table.row_count > table.rows.length
    ? `First ${table.rows.length.toLocaleString("en")} of ${count(table.row_count, "row")}; a download has all of them` : count(table.row_count, "row");
  return h("div", { class: "sheet" },
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title || table.name || "Table" },
      h("table", {}, h("thead", {}, h("tr", {}, heads)), body)),
    h("div", { class: "foot" }, h("span", { class: "quiet" }, partial), more,
      task ? h("span", { class: "saves" }, "Download ", ["csv", "xlsx", "json"].map((format) =>
        h("a", { href: downloadUrl(run, task, format), download: "", class: "save" }, format.toUpperCase()))) : null));
}
