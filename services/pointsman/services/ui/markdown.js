// A small part of Markdown, to elements. Raw HTML is text; pictures are not fetched; links are http,
// https or mailto and open aside.

import { h } from "./dom.js";

const INLINE = /(`+)([^`]|[^`][\s\S]*?[^`])\1(?!`)|\*\*(?=\S)([\s\S]*?\S)\*\*|__(?=\S)([\s\S]*?\S)__(?!\w)|\*(?=[^\s*])([^*]*[^\s*])\*|(?<!\w)_(?=\S)([^_]*[^\s_])_(?!\w)|!?\[((?:\\.|[^\]\\])*)\]\(([^()\s]+)\)|<?(https?:\/\/[^\s<>()]+[^\s<>().,;:!?'"])>?|\\([\\`*_{}[\]()#+\-.!|<>~])/g;

export function inline(text, depth = 0) {
  if (depth > 6) return [text];
  const out = [];
  let at = 0;
  for (const m of text.matchAll(INLINE)) {
    if (m.index > at) out.push(text.slice(at, m.index));
    at = m.index + m[0].length;
    const [all, , code, strong, strong2, em, em2, label, href, bare, escaped] = m;
    if (code !== undefined) out.push(h("code", {}, code));
    else if (strong !== undefined || strong2 !== undefined) out.push(h("strong", {}, ...inline(strong ?? strong2, depth + 1)));
    else if (em !== undefined || em2 !== undefined) out.push(h("em", {}, ...inline(em ?? em2, depth + 1)));
    else if (label !== undefined) out.push(link(href, inline(label || href, depth + 1)) || all);
    else if (bare !== undefined) out.push(link(bare, [bare]) || all);
    else out.push(escaped);
  }
  if (at < text.length) out.push(text.slice(at));
  return out;
}

function link(href, children) {
  if (/^\/v1\/files\/[\w-]+\/content$/.test(href)) return h("a", { href, download: "" }, ...children);
  if (!/^(https?:\/\/|mailto:)/i.test(href)) return null;
  return h("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, ...children);
}

const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*$/;
const RULE = /^ {0,3}([-*_])( *\1){2,} *$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const SPLIT = /^ *\|? *:?-+:? *(\| *:?-+:? *)*\|? *$/;

export function markdown(text) {
  const lines = String(text).replace(/\r\n?/g, "\n").split("\n");
  const root = h("div", { class: "prose" });
  blocks(lines, root, 0);
  return root;
}

function blocks(lines, into, depth) {
  let i = 0;
  while (i < lines.length) {
    const line = lines[i];
    if (!line.trim()) i += 1;
    else if (FENCE.test(line)) i = fence(lines, i, into);
    else if (HEADING.test(line)) {
      const [, marks, words] = line.match(HEADING);
      into.append(h(`h${Math.min(6, marks.length + 2)}`, {}, ...inline(words)));
      i += 1;
    } else if (RULE.test(line)) { into.append(h("hr")); i += 1; }
    else if (/^ {0,3}>/.test(line)) i = quote(lines, i, into, depth);
    else if (line.includes("|") && i + 1 < lines.length && SPLIT.test(lines[i + 1]) && lines[i + 1].includes("-") && lines[i + 1].includes("|")) i = table(lines, i, into);
    else if (ITEM.test(line) && depth < 8) i = list(lines, i, into, depth);
    else i = paragraph(lines, i, into);
  }
}

function fence(lines, i, into) {
  const mark = lines[i].match(FENCE)[1];
  const body = [];
  let j = i + 1;
  while (j < lines.length && !lines[j].trim().startsWith(mark)) body.push(lines[j++]);
  into.append(h("pre", { tabindex: 0 }, h("code", {}, body.join("\n"))));
  return j + 1;
}

function quote(lines, i, into, depth) {
  const body = [];
  while (i < lines.length && /^ {0,3}>/.test(lines[i])) body.push(lines[i++].replace(/^ {0,3}> ?/, ""));
  const element = h("blockquote");
  if (depth < 8) blocks(body, element, depth + 1);
  else element.append(body.join("\n"));
  into.append(element);
  return i;
}

const cellsOf = (line) => line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((c) => c.trim().replace(/\\\|/g, "|"));

function table(lines, i, into) {
  const head = cellsOf(lines[i]);
  const rows = [];
  let j = i + 2;
  while (j < lines.length && lines[j].trim() && lines[j].includes("|")) rows.push(cellsOf(lines[j++]));
  into.append(h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table" }, h("table", { class: "plain" },
    h("thead", {}, h("tr", {}, head.map((c) => h("th", { scope: "col" }, ...inline(c))))),
    h("tbody", {}, rows.map((r) => h("tr", {}, head.map((_, k) => h("td", {}, ...inline(r[k] ?? "")))))))));
  return j;
}

function list(lines, i, into, depth) {
  const [, indent, mark] = lines[i].match(ITEM);
  const ordered = /\d/.test(mark);
  const element = h(ordered ? "ol" : "ul", ordered && parseInt(mark, 10) !== 1 ? { start: parseInt(mark, 10) } : {});
  while (i < lines.length) {
    const m = lines[i].match(ITEM);
    if (!m || m[1].length !== indent.length || /\d/.test(m[2]) !== ordered) break;
    const body = [m[3]];
    i += 1;
    while (i < lines.length && (lines[i].trim() ? lines[i].match(/^\s*/)[0].length > indent.length : lines[i + 1] && /^\s{2,}\S/.test(lines[i + 1]))) {
      body.push(lines[i++].slice(Math.min(indent.length + 2, lines[i - 1].match(/^\s*/)[0].length)));
    }
    const item = h("li");
    if (body.length === 1) item.append(...inline(body[0]));
    else blocks(body, item, depth + 1);
    element.append(item);
    while (i < lines.length && !lines[i].trim() && lines[i + 1] && ITEM.test(lines[i + 1])) i += 1;
  }
  into.append(element);
  return i;
}

function paragraph(lines, i, into) {
  const body = [];
  while (i < lines.length && lines[i].trim() && !(body.length && (FENCE.test(lines[i]) || HEADING.test(lines[i]) || ITEM.test(lines[i]) || /^ {0,3}>/.test(lines[i])))) {
    body.push(lines[i++]);
  }
  const element = h("p");
  body.forEach((line, k) => {
    element.append(...inline(line.trimStart()));
    if (k < body.length - 1) element.append(/ {2,}$/.test(line) ? h("br") : " ");
  });
  into.append(element);
  return i;
}
