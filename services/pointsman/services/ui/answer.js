// An answer is one Markdown text that stands on its own, for every client. Here its tables, pictures and
// files are put in their richer form at the place where the text has them, and what the page shows
// elsewhere (the steps, what was not done) is not told twice.

import { h } from "./dom.js";
import { markdown } from "./markdown.js";
import { partView } from "./parts.js";

const RICH = new Set(["table", "picture", "file"]);
const HOW = /^_How: [\s\S]*_$/;
const MORE = /^… and [\d,]+ more (rows|columns)/;

const plain = (text) => text.replace(/[\\*_.]/g, "").trim().toLowerCase();

const marks = {
  table: (text) => /^\|.*\|\n\|[ :|-]+\|(\n|$)/.test(text),
  picture: (text) => /^!\[[\s\S]*\]\(\/v1\/files\/[\w-]+\/content\)$/.test(text),
  file: (text) => /^\[[\s\S]*\]\(\/v1\/files\/[\w-]+\/content\)$/.test(text),
};

export function answerView(answer, text, run) {
  const parts = answer.parts || [];
  const rich = parts.filter((p) => RICH.has(p.kind));
  const titles = new Set(parts.map((p) => plain(p.title || "")));
  const notes = new Set(parts.map((p) => plain(p.note || "")).filter(Boolean));
  const listed = new Set([...(answer.unserved || []).map((x) => plain(`Not done: ${x}`)), ...(answer.assumptions || []).map((x) => plain(`Taken for granted: ${x}`))]);
  const out = [];
  let prose = [];
  const flush = () => { if (prose.length) out.push(markdown(prose.join("\n\n"))); prose = []; };
  const place = (part) => { flush(); out.push(partView({ ...part, title: parts.length > 1 ? "" : part.title, note: "" }, run, false)); };
  for (const block of blocksOf(text)) {
    if (HOW.test(block) && (answer.steps || []).length) continue;
    if (listed.has(plain(block)) || (rich.length && MORE.test(block))) continue;
    if (rich.length && marks[rich[0].kind](block)) place(rich.shift());
    else if (/^_[\s\S]*_$/.test(block) && notes.has(plain(block))) { flush(); out.push(h("p", { class: "note" }, block.slice(1, -1).replace(/\\(.)/g, "$1"))); }
    else if (parts.length > 1 && /^\*\*[\s\S]*\*\*$/.test(block) && titles.has(plain(block))) { flush(); out.push(h("h4", { class: "part-title" }, block.slice(2, -2).replace(/\\(.)/g, "$1"))); }
    else if (/^This was not finished: /.test(block)) { flush(); out.push(h("div", { class: "fault" }, markdown(block))); }
    else prose.push(block);
  }
  flush();
  for (const part of rich) if (part.kind !== "table" || part.value.row_count > 1) out.push(partView(part, run, false));
  return out;
}

// Paragraphs; a fenced block is one of them, blank lines and all.
function blocksOf(text) {
  const blocks = [];
  let fence = false;
  let lines = [];
  const end = () => { const block = lines.join("\n").trim(); if (block) blocks.push(block); lines = []; };
  for (const line of text.replace(/\r\n?/g, "\n").split("\n")) {
    if (/^ {0,3}(```|~~~)/.test(line)) fence = !fence;
    if (!line.trim() && !fence) end();
    else lines.push(line);
  }
  end();
  return blocks;
}
