// Elements from plain values. Text only ever becomes a text node, so nothing that a person, a file or a
// model wrote can become markup.

const SVG = "http://www.w3.org/2000/svg";

export function h(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function s(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(key, value);
    else if (key === "style") for (const [k, v] of Object.entries(value)) element.style.setProperty(k, v);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

export function replace(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter(Boolean));
  return element;
}

export const byId = (id) => document.getElementById(id);

const STATES = {
  waiting: ["Waiting", "M4 8h8"],
  ready: ["Ready", "M8 4v8M4 8h8"],
  queued: ["Queued", "M5 5h6M5 8h6M5 11h6"],
  running: ["Running", "M6 4.5 11.5 8 6 11.5z"],
  held: ["Waits for you", "M6.2 5v6M9.8 5v6"],
  done: ["Done", "M4 8.5 7 11.5 12.5 5"],
  failed: ["Failed", "M4.5 4.5l7 7M11.5 4.5l-7 7"],
  skipped: ["Skipped", "M4.5 4.5 8 8 4.5 11.5M9 4.5 12.5 8 9 11.5"],
  cancelled: ["Stopped", "M5 5h6v6H5z"],
  refused: ["Not possible", "M8 4v5M8 11.2v.8"],
};

export const stateName = (status) => (STATES[status] || [status])[0];

export function stateIcon(status) {
  return s("svg", { class: `state ${status}`, viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" },
    ...stateMarks(status));
}

export function stateMarks(status) {
  const path = (STATES[status] || STATES.waiting)[1];
  const ring = status === "running" ? s("circle", { class: "sweep", cx: 8, cy: 8, r: 7 }) : null;
  return [s("circle", { class: "lamp", cx: 8, cy: 8, r: 7 }), ring, s("path", { class: "sign", d: path })].filter(Boolean);
}

export function seconds(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  if (value < 0.0995) return `${Math.max(1, Math.round(value * 1000))} ms`;
  if (value < 60) return `${value.toFixed(value < 10 ? 2 : 1)} s`;
  return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
}

export function money(micro) {
  if (!micro) return "no cost";
  const dollars = micro / 1e6;
  return `$${dollars < 0.01 ? Number(dollars.toPrecision(2)) : dollars.toFixed(2)}`;
}

export function bytes(size) {
  for (const [unit, factor] of [["GB", 2 ** 30], ["MB", 2 ** 20], ["kB", 2 ** 10]]) {
    if (size >= factor) return `${(size / factor).toFixed(size / factor < 10 ? 1 : 0)} ${unit}`;
  }
  return `${size} B`;
}

export const count = (n, one, many) => `${n.toLocaleString("en")} ${n === 1 ? one : many || `${one}s`}`;
