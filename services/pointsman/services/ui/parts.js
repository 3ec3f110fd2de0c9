// Values of slots, each kind in its own form.

import { h, bytes } from "./dom.js";
import { contentUrl, downloadUrl } from "./api.js";
import { tableView } from "./table.js";
import { markdown } from "./markdown.js";

export function valueView(value, kind, { run, task, title, page }) {
  const place = { run, task, title, page };
  if (value && typeof value === "object" && !Array.isArray(value)) {
    if (value.kind === "table" && Array.isArray(value.columns)) return tableView(value, place);
    if (value.kind === "quantity") return quantity(value);
    if (value.kind === "picture") return picture(value);
    if (value.kind === "file") return fileLink(value);
    if (value.kind === "answer") return extract(value);
  }
  if (typeof value === "string") return kind === "markdown" ? markdown(value) : h("p", { class: "written" }, value);
  if (value === null || value === undefined) return h("p", { class: "quiet" }, "Nothing");
  if (Array.isArray(value) && value.every((v) => typeof v !== "object" || v === null)) {
    return h("ul", { class: "values" }, value.slice(0, 200).map((v) => h("li", {}, String(v))));
  }
  if (typeof value === "object" && !Array.isArray(value)) return fields(value);
  if (typeof value === "object") return h("pre", { tabindex: 0 }, clip(JSON.stringify(value, null, 1), 20000));
  return h("p", { class: "figure" }, String(value));
}

function quantity({ value, unit }) {
  const [whole, fraction] = String(value).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
  return h("p", { class: "figure" }, fraction ? `${grouped}.${fraction}` : grouped, unit ? h("span", { class: "unit" }, ` ${unit}`) : null);
}

function picture(value) {
  const url = contentUrl(value.file);
  return h("figure", { class: "picture" }, h("img", { src: url, alt: value.alt || "Chart", loading: "lazy" }),
    h("div", { class: "foot" }, h("span", { class: "quiet" }, value.alt || ""), h("a", { class: "save", href: url, download: "" }, "PNG")));
}

const fileLink = (value) => h("p", {}, h("a", { class: "save big", href: contentUrl(value.id), download: "" }, value.name),
  h("span", { class: "quiet" }, ` ${bytes(value.size || 0)}`));

function extract(value) {
  if (value.text === null) return h("p", { class: "quiet" }, "The text does not say.");
  return h("div", {}, h("p", { class: "figure words" }, value.text),
    value.quote ? h("blockquote", {}, value.quote) : null, value.file ? h("p", { class: "quiet" }, value.file) : null);
}

const fields = (value) => h("dl", { class: "facts" }, Object.entries(value).flatMap(([k, v]) =>
  [h("dt", {}, k.replaceAll("_", " ")), h("dd", {}, typeof v === "object" && v !== null ? JSON.stringify(v) : String(v))]));

export const clip = (text, limit) => (text.length > limit ? `${text.slice(0, limit)}…` : text);

export function partView(part, run, alone) {
  const words = part.title && !(alone && part.kind !== "table" && part.kind !== "picture");
  const text = part.kind === "text" && part.task
    ? h("div", { class: "foot" }, h("a", { class: "save", href: downloadUrl(run, part.task, "txt"), download: "" }, "TXT")) : null;
  return h("section", { class: "part" },
    words ? h("h4", {}, part.title) : null,
    valueView(part.value, part.kind, { run, task: part.task, title: part.title }), text,
    part.note ? h("p", { class: "note" }, part.note) : null);
}
