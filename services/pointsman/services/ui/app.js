// The page: the conversation, the plan beside it, and what joins them.

import { h, replace, byId, seconds, stateIcon, stateName } from "./dom.js";
import * as api from "./api.js";
import { newRun, fold, isOver, progress, statusLine } from "./run.js";
import { Entry } from "./entry.js";
import { PlanPanel } from "./plan.js";
import { Uploads, dropped, chosen } from "./uploads.js";

const ui = Object.fromEntries(["feed", "ask", "request", "send", "stop", "attach", "plan", "runs", "said", "link", "drop", "scrim"].map((id) => [id, byId(id)]));
const state = { entries: [], shown: null, thread: newThread(), watching: new Map() };
const plan = new PlanPanel(ui.plan, () => drawer(false), rerun);
const uploads = new Uploads(byId("chips"), say);

const EXAMPLES = [
  ["Convert 3.5 acres to square metres and multiply by 12", "units, arithmetic"],
  ["How many working days are there between 3 March 2025 and 19 June 2025?", "dates"],
  ["What is 17.5 % of 2,480 plus 99.90?", "exact decimals"],
  ["Extract the people, places and amounts: “On 4 May, Ada Brook of Northwind paid $12,400 to the port of Lisbon.”", "text"],
];

function newThread() {
  return `t_${crypto.getRandomValues(new Uint32Array(3)).reduce((text, n) => text + n.toString(36), "")}`;
}

function say(words) {
  ui.said.textContent = words;
}

// --- runs ------------------------------------------------------------------------------------------

async function ask(request, files) {
  const run = newRun("", request);
  run.files = files;
  run.thread = state.thread;
  const entry = addEntry(run);
  show(entry);
  try {
    const made = await api.createRun({ request, files: files.map((f) => f.id), thread: state.thread });
    run.id = made.id;
    entry.element.dataset.run = made.id;
    setHash(made.id);
    follow(entry);
  } catch (error) {
    Object.assign(run, { status: "failed", error: { message: error.message }, seconds: null });
    refresh(entry);
  }
  acts();
}

// The plan of a run that is over, once more from a task on, as a run of its own.
async function rerun(run, task) {
  const made = await api.rerun(run.id, task);
  const again = newRun(made.id, run.request);
  Object.assign(again, { files: run.files, thread: made.thread });
  const entry = addEntry(again);
  drawer(false);
  show(entry);
  follow(entry);
  acts();
}

function addEntry(run) {
  if (!state.entries.length) ui.feed.replaceChildren();
  const entry = new Entry(run, { show, copy, retry: (r) => ask(r.request, r.files), task: showTask });
  state.entries.push(entry);
  ui.feed.append(entry.element);
  return entry;
}

function follow(entry) {
  const { run } = entry;
  const stop = api.watch(run.id, (event) => {
    const near = atEnd();
    fold(run, event);
    announce(run, event);
    schedule(entry, near, event.type === "approval.requested");
    if (event.type === "run.ended") { state.watching.delete(run.id); acts(); linked(true); }
  }, linked);
  state.watching.set(run.id, stop);
}

// Many events may come at once; the screen changes once a frame.
const dirty = new Map();
function schedule(entry, near, asks = false) {
  if (!dirty.size) requestAnimationFrame(flush);
  const before = dirty.get(entry) || {};
  dirty.set(entry, { near: near || before.near, asks: asks || before.asks });
}
function flush() {
  const list = [...dirty];
  dirty.clear();
  for (const [entry, { near, asks }] of list) {
    refresh(entry);
    if (near) reveal(entry);
    if (near && asks) entry.element.querySelector(".approval")?.scrollIntoView({ block: "nearest" });
  }
}

// As far down as can be without losing the beginning of the entry: an answer is read from its top.
function reveal(entry) {
  ui.feed.scrollTop = Math.min(ui.feed.scrollHeight - ui.feed.clientHeight, entry.element.offsetTop - ui.feed.offsetTop - 4);
}

function refresh(entry) {
  entry.refresh();
  if (state.shown === entry) { plan.refresh(); badge(entry.run); }
}

function announce(run, event) {
  if (event.type === "plan.proposed") say(`Plan with ${event.plan.tasks.length} tasks`);
  else if (event.type === "task.done" || event.type === "task.failed") {
    const { done, all } = progress(run);
    const task = run.tasks.get(event.task);
    if (task && !task.child) say(`${task.title}: ${stateName(task.status)}. ${done} of ${all}`);
  } else if (event.type === "approval.requested") say(`${run.tasks.get(event.task)?.title || event.task} waits for your approval`);
  else if (event.type === "run.ended") say(`${statusLine(run)}. ${(run.text || "").slice(0, 300)}`);
}

function linked(up) {
  ui.link.textContent = up ? "" : "Connection lost, trying again";
}

const atEnd = () => ui.feed.scrollHeight - ui.feed.scrollTop - ui.feed.clientHeight < 80;

function show(entry, open = false) {
  state.shown = entry;
  for (const e of state.entries) e.element.classList.toggle("shown", e === entry);
  plan.show(entry ? entry.run : null);
  if (entry) { badge(entry.run); if (entry.run.id) setHash(entry.run.id); }
  if (!open && entry) reveal(entry);
  if (open && phone.matches) drawer(true);
}

function showTask(entry, task) {
  show(entry, true);
  if (plan.chosen !== task) plan.choose(task);
}

function badge(run) {
  const { done, all } = progress(run);
  byId("plan-toggle").textContent = all ? `Plan ${done}/${all}` : "Plan";
}

const running = () => state.entries.filter((e) => e.run.id && !isOver(e.run));

function acts() {
  const live = running().length > 0;
  ui.stop.hidden = !live;
  ui.send.classList.toggle("second", live);
}

async function stopAll() {
  for (const entry of running()) {
    entry.run.cancelling = true;
    refresh(entry);
    try { await api.cancelRun(entry.run.id); } catch (error) { if (error.code !== "workspace.run-over") say(error.message); }
  }
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1600);
}

// --- past runs --------------------------------------------------------------------------------------

let settingHash = "";
function setHash(id) {
  settingHash = `#run=${id}`;
  if (location.hash !== settingHash) history.replaceState(null, "", settingHash);
}

async function load(id) {
  leave();
  try {
    const record = await api.getRun(id);
    const together = record.thread ? (await api.runsOf(record.thread)).runs.reverse() : [record];
    state.thread = record.thread || newThread();
    for (const one of together) {
      const run = newRun(one.id, one.request);
      Object.assign(run, { files: one.files, thread: one.thread, dryRun: one.dry_run, created: one.created });
      const entry = addEntry(run);
      follow(entry);
      if (one.id === id) show(entry);
    }
    uploads.set((record.files || []).map((f) => ({ ...f, profile: null })));
    for (const chip of uploads.chips) api.getFile(chip.file.id).then((file) => { chip.file = file; uploads.draw(); }).catch(() => uploads.remove(chip));
  } catch (error) {
    ui.feed.replaceChildren(h("p", { class: "fault" }, error.message));
    plan.show(null);
  }
  acts();
}

function leave() {
  for (const stop of state.watching.values()) stop();
  state.watching.clear();
  state.entries = [];
  ui.feed.replaceChildren();
  show(null);
}

function fresh() {
  leave();
  state.thread = newThread();
  uploads.set([]);
  history.replaceState(null, "", location.pathname);
  badge({ tasks: new Map() });
  linked(true);
  welcome();
  acts();
  ui.request.focus();
}

function welcome() {
  const use = (text) => { ui.request.value = text; grow(); ui.request.focus(); };
  const list = h("ul", { class: "examples" }, EXAMPLES.map(([text, kind]) =>
    h("li", {}, h("button", { type: "button", click: () => use(text) }, h("span", {}, text), h("small", {}, kind)))));
  const can = h("p", { class: "quiet can" });
  ui.feed.replaceChildren(h("div", { class: "welcome" },
    h("h1", {}, "What is to be done?"),
    h("p", {}, "Say it in your own words. The request becomes a plan, each task of it goes to the expert that serves it best, and you see what was done and why. Tables and texts can be dropped on this page."), list, can));
  api.capabilities().then(({ capabilities }) => {
    if (!capabilities.length) { can.textContent = "No expert is live yet. Requests wait until one is."; return; }
    replace(can, h("details", {}, h("summary", {}, `${capabilities.length} capabilities are live`),
      h("ul", { class: "caps" }, capabilities.map((c) => h("li", {}, h("code", {}, c.name), " ", c.title, c.examples[0] ? h("button", { type: "button", class: "step", click: () => use(c.examples[0]) }, `“${c.examples[0]}”`) : null)))));
  }).catch((error) => { can.textContent = error.message; });
}

async function runList(open) {
  byId("runs-toggle").setAttribute("aria-expanded", String(open));
  ui.runs.hidden = !open;
  if (!open) return;
  const list = h("ul", {});
  const more = h("button", { type: "button", class: "tool", hidden: true }, "Older");
  replace(ui.runs, h("header", {}, h("h2", {}, "Runs"), h("button", { type: "button", class: "tool", click: () => { runList(false); byId("runs-toggle").focus(); } }, "Close")), list, more);
  const page = async (before) => {
    try {
      const { runs, next } = await api.listRuns(before);
      list.append(...runs.map((r) => h("li", {}, h("a", { href: `#run=${r.id}`, "aria-current": state.shown?.run.id === r.id ? "true" : null, click: () => runList(false) },
        stateIcon(r.status === "queued" ? "waiting" : r.status), h("span", { class: "words" }, r.request.slice(0, 160)),
        h("time", { datetime: new Date(r.created * 1000).toISOString() }, when(r.created), r.ended ? `, ${seconds(r.ended - r.created)}` : "")))));
      if (!list.children.length) list.append(h("li", { class: "quiet" }, "None yet"));
      more.hidden = !next;
      more.onclick = () => page(next);
    } catch (error) { replace(list, h("li", { class: "fault" }, error.message)); }
  };
  await page();
  ui.runs.querySelector("a, button")?.focus();
}

function when(at) {
  const date = new Date(at * 1000);
  const today = new Date().toDateString() === date.toDateString();
  return date.toLocaleString([], today ? { hour: "2-digit", minute: "2-digit" } : { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
}

// --- the plan as a drawer on a phone ------------------------------------------------------------------

const phone = matchMedia("(max-width: 860px)");
function drawer(open) {
  ui.plan.classList.toggle("open", open);
  ui.scrim.hidden = !open;
  ui.plan.inert = phone.matches && !open;
  byId("plan-toggle").setAttribute("aria-expanded", String(open));
  if (open) { plan.refresh(); plan.close.focus(); } else if (phone.matches && ui.plan.contains(document.activeElement)) byId("plan-toggle").focus();
}
phone.addEventListener("change", () => drawer(false));

// --- input ------------------------------------------------------------------------------------------

function grow() {
  ui.request.style.height = "auto";
  ui.request.style.height = `${Math.min(ui.request.scrollHeight, innerHeight * 0.4)}px`;
}

function submit() {
  const request = ui.request.value.trim();
  if (uploads.busy) { say("Files are still being sent"); return; }
  if (!request) { ui.request.focus(); return; }
  ui.request.value = "";
  grow();
  const files = uploads.chips.filter((c) => c.file).map((c) => c.file);
  ask(request, files);
}

ui.ask.addEventListener("submit", (e) => { e.preventDefault(); submit(); });
ui.request.addEventListener("input", grow);
ui.request.addEventListener("keydown", (e) => {
  if (e.key === "Enter" && !e.shiftKey && !e.isComposing) { e.preventDefault(); submit(); }
});
ui.request.addEventListener("paste", (e) => {
  const files = [...(e.clipboardData?.files || [])];
  if (files.length) { e.preventDefault(); uploads.add(files.map((file) => ({ file, name: file.name }))); }
});
ui.stop.addEventListener("click", stopAll);
for (const [button, input] of [["attach", "file-input"], ["attach-folder", "folder-input"]]) {
  byId(button).addEventListener("click", () => byId(input).click());
  byId(input).addEventListener("change", (e) => { uploads.add(chosen(e.target)); e.target.value = ""; ui.request.focus(); });
}
byId("new").addEventListener("click", fresh);
byId("runs-toggle").addEventListener("click", () => runList(ui.runs.hidden));
byId("plan-toggle").addEventListener("click", () => drawer(!ui.plan.classList.contains("open")));
ui.scrim.addEventListener("click", () => drawer(false));
document.querySelector(".brand").addEventListener("click", (e) => { e.preventDefault(); fresh(); });

addEventListener("keydown", (e) => {
  if (e.key !== "Escape") return;
  if (!ui.runs.hidden) { runList(false); byId("runs-toggle").focus(); } else if (ui.plan.classList.contains("open")) drawer(false);
  else if (running().length) stopAll();
  else if (plan.chosen) plan.choose(plan.chosen);
});

let over = 0;
addEventListener("dragenter", (e) => { if ([...e.dataTransfer.types].includes("Files")) { over += 1; ui.drop.hidden = false; } });
addEventListener("dragleave", () => { over = Math.max(0, over - 1); ui.drop.hidden = over === 0; });
addEventListener("dragover", (e) => e.preventDefault());
addEventListener("drop", async (e) => {
  e.preventDefault();
  over = 0;
  ui.drop.hidden = true;
  uploads.add(await dropped(e.dataTransfer));
});

addEventListener("hashchange", () => {
  const id = new URLSearchParams(location.hash.slice(1)).get("run");
  if (id && location.hash !== settingHash) load(id);
  else if (id) { const entry = state.entries.find((x) => x.run.id === id); if (entry) show(entry, true); else load(id); }
});
setInterval(() => { if (state.shown && !isOver(state.shown.run)) plan.refresh(); }, 100);

const wanted = new URLSearchParams(location.hash.slice(1)).get("run");
if (wanted) load(wanted);
else welcome();
drawer(false);
if (!phone.matches) ui.request.focus();
