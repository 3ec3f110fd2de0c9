// The plan as a track diagram: tasks are stations with a signal, references are tracks.

import { h, s, stateMarks, stateName, seconds, money } from "./dom.js";
import { inputsOf, mainTasks } from "./run.js";
import { layout, track } from "./layout.js";

const HEIGHT = 58;

export class Graph {
  constructor(onSelect) {
    this.onSelect = onSelect;
    this.element = h("div", { class: "graph", role: "group", "aria-label": "Tasks of the plan" });
    this.nodes = new Map();
    this.tracks = [];
    this.key = "";
    this.selected = null;
    this.element.addEventListener("keydown", (e) => this.#move(e));
    new ResizeObserver(() => { if (this.run && this.#width() !== this.drawnAt) { this.key = ""; this.show(this.run); } }).observe(this.element);
  }

  #width() {
    return Math.max(240, Math.floor(this.element.clientWidth) - 24);
  }

  show(run) {
    this.run = run;
    const tasks = mainTasks(run);
    const key = `${run.id} ${run.version} ${tasks.map((t) => t.id).join(" ")}`;
    if (key !== this.key || (tasks.length && !this.nodes.size)) this.#draw(tasks, key);
    for (const task of tasks) this.#update(task);
    for (const { path, from, to } of this.tracks) {
      const a = run.tasks.get(from)?.status;
      const b = run.tasks.get(to)?.status;
      path.setAttribute("class", `track ${a === "done" ? (b === "running" || b === "queued" ? "live" : "open") : a === "failed" || a === "skipped" ? "closed" : ""}`);
    }
  }

  #draw(tasks, key) {
    this.key = key;
    this.nodes.clear();
    this.tracks = [];
    this.drawnAt = this.#width();
    if (!tasks.length) { this.element.replaceChildren(); return; }
    const ids = tasks.map((t) => t.id);
    const there = new Set(ids);
    const kinds = new Map();
    for (const t of tasks) {
      const { read, after } = inputsOf(t.spec);
      for (const [list, kind] of [[read, "data"], [after, "after"]]) {
        for (const id of list) if (there.has(id) && id !== t.id) kinds.set(`${id}\n${t.id}`, kind);
      }
    }
    const edges = [...kinds.keys()].map((k) => k.split("\n"));
    const wide = this.#widest(ids, edges);
    const width = Math.max(148, Math.min(250, Math.floor((this.drawnAt - 14 * (wide - 1)) / wide)));
    const plan = layout(ids, edges, { width, height: HEIGHT });
    const svg = s("svg", { width: plan.width + 4, height: plan.height + 4, viewBox: `-2 -2 ${plan.width + 4} ${plan.height + 4}` });
    for (const { from, to, points } of plan.paths) {
      const path = s("path", { class: "track", d: track(points), "stroke-dasharray": kinds.get(`${from}\n${to}`) === "after" ? "2 4" : null });
      this.tracks.push({ path, from, to });
      svg.append(path);
    }
    for (const task of tasks) svg.append(this.#node(task, plan.places.get(task.id)));
    this.element.replaceChildren(svg);
    this.#mark();
  }

  #widest(ids, edges) {
    const level = new Map(ids.map((id) => [id, 0]));
    for (let n = 0; n < ids.length; n += 1) for (const [a, b] of edges) level.set(b, Math.max(level.get(b), Math.min(ids.length, level.get(a) + 1)));
    const sizes = new Map();
    for (const l of level.values()) sizes.set(l, (sizes.get(l) || 0) + 1);
    return Math.max(...sizes.values());
  }

  #node(task, { x, y, w, h: height }) {
    const parts = {
      lamp: s("g", { transform: "translate(9 9)" }),
      title: s("text", { class: "title", x: 33, y: 21 }),
      line: s("text", { class: "line", x: 33, y: 37 }),
      time: s("text", { class: "time", x: 33, y: 50 }),
      bar: s("rect", { class: "bar", x: 1, y: height - 3, width: 0, height: 2 }),
    };
    const select = () => this.onSelect(task.id);
    const group = s("g", { class: "node", role: "button", tabindex: 0, transform: `translate(${x} ${y})`, "data-task": task.id,
      click: select, keydown: (e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); select(); } } },
    s("rect", { class: "box", width: w, height, rx: 4 }), parts.bar, parts.lamp, parts.title, parts.line, parts.time,
    task.spec.for_each ? s("path", { class: "loop", d: `M${w - 14} 8h6v6m0 0-2-2m2 2 2-2` }) : null);
    this.nodes.set(task.id, { group, parts, w });
    return group;
  }

  #update(task) {
    const node = this.nodes.get(task.id);
    if (!node) return;
    const { group, parts, w } = node;
    group.setAttribute("class", `node ${task.status}${task.id === this.selected ? " chosen" : ""}`);
    if (node.status !== task.status) { parts.lamp.replaceChildren(...stateMarks(task.status)); parts.lamp.setAttribute("class", `state ${task.status}`); node.status = task.status; }
    const letters = Math.floor((w - 42) / 6.6);
    const small = Math.floor((w - 42) / 5.9);
    const expert = task.route ? task.route.expert : task.capability;
    const time = task.status === "running" && task.started ? seconds(Math.max(0, Date.now() / 1000 - task.started)) : seconds(task.seconds);
    const cost = task.usage && task.usage.cost ? money(task.usage.cost) : "";
    const words = [time ? `${stateName(task.status)} ${task.status === "running" ? "for" : "in"} ${time}` : stateName(task.status), cost].filter(Boolean).join(", ");
    text(parts.title, task.title, letters);
    text(parts.line, expert, small);
    text(parts.time, words, small);
    parts.bar.setAttribute("width", task.status === "running" && task.share ? Math.max(0, (w - 2) * Math.min(1, task.share)) : 0);
    group.setAttribute("aria-label", `${task.title}: ${words}${task.route ? `, by ${task.route.expert}` : ""}`);
    group.setAttribute("aria-pressed", String(task.id === this.selected));

  }

  select(id) {
    this.selected = id;
    this.#mark();
  }

  #mark() {
    for (const [id, { group }] of this.nodes) {
      group.classList.toggle("chosen", id === this.selected);
      group.setAttribute("aria-pressed", String(id === this.selected));
    }
  }

  // Arrow keys go to the nearest station in that direction.
  #move(event) {
    const step = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    const from = event.target.closest?.(".node");
    if (!step || !from) return;
    event.preventDefault();
    const here = from.getBoundingClientRect();
    let best = null;
    for (const { group } of this.nodes.values()) {
      const there = group.getBoundingClientRect();
      const along = (there.x - here.x) * step[0] + (there.y - here.y) * step[1];
      const across = Math.abs((there.x - here.x) * step[1]) + Math.abs((there.y - here.y) * step[0]);
      if (group !== from && along > 4 && (!best || along + across * 1.5 < best.far)) best = { group, far: along + across * 1.5 };
    }
    best?.group.focus();
  }
}

function text(element, value, letters) {
  const shown = value.length > letters ? `${value.slice(0, Math.max(1, letters - 1))}…` : value;
  if (element.textContent !== shown) element.textContent = shown;
}

