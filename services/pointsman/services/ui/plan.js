// The right side: the plan of one run, and what is known of the task that is chosen in it.

import { h, s, replace, seconds, money, stateIcon, stateName } from "./dom.js";
import { getSlot } from "./api.js";
import { Graph } from "./graph.js";
import { inputsOf, isOver, statusLine } from "./run.js";
import { valueView } from "./parts.js";

export class PlanPanel {
  constructor(element, onClose, onRerun) {
    this.element = element;
    this.onRerun = onRerun;
    this.run = null;
    this.chosen = null;
    this.graph = new Graph((id) => this.choose(id));
    this.head = h("header", { class: "plan-head" });
    this.about = h("div", { class: "about" });
    this.details = h("section", { class: "details", "aria-label": "Task", tabindex: -1, hidden: true });
    this.close = h("button", { type: "button", class: "tool phone", click: onClose }, "Close");
    element.replaceChildren(this.head, h("div", { class: "plan-body" }, this.about, this.graph.element, this.details));
    this.show(null);
  }

  show(run) {
    if (run !== this.run) { this.chosen = null; this.graph.select(null); this.details.hidden = true; this.detailKey = ""; }
    this.run = run;
    this.refresh();
  }

  refresh() {
    const run = this.run;
    if (!run) {
      replace(this.head, h("h2", {}, "Plan"), this.close);
      replace(this.about, emptyTrack(), h("p", { class: "quiet" }, "The plan of a request is drawn here: its tasks, who does each of them and why, while they run."));
      this.graph.element.hidden = true;
      return;
    }
    this.graph.element.hidden = false;
    this.#head(run);
    this.graph.show(run);
    this.#about(run);
    this.#details();
  }

  #head(run) {
    const spent = isOver(run) ? run.seconds : run.created ? Date.now() / 1000 - run.created : null;
    const state = ["done", "failed", "cancelled", "refused"].includes(run.status) ? run.status : "running";
    const line = `${state} ${statusLine(run)} ${spent} ${run.usage.cost}`;
    if (line === this.headKey && this.headRun === run) return;
    this.headKey = line;
    this.headRun = run;
    replace(this.head, h("h2", {}, "Plan"),
      h("span", { class: `sign-line ${state}` }, stateIcon(state), statusLine(run)),
      h("span", { class: "spent" }, spent === null ? "" : seconds(Math.max(0, spent)), run.usage.cost !== undefined ? h("span", { class: "quiet" }, ` ${money(run.usage.cost)}`) : null),
      run.plan ? h("a", { class: "save", href: `/v1/runs/${encodeURIComponent(run.id)}/plan.mmd`, download: "plan.mmd", title: "The plan as a Mermaid diagram" }, "MMD") : null, this.close);
  }

  #about(run) {
    const key = `${run.id} ${run.version} ${run.status}`;
    if (key === this.aboutKey) return;
    this.aboutKey = key;
    const plan = run.plan;
    if (!plan) {
      replace(this.about, h("p", { class: "quiet" }, isOver(run) ? "No plan was made for this request." : "Looking for the tasks that serve the request."));
      return;
    }
    const sure = plan.source === "given" ? "" : `, ${Math.round(plan.confidence * 100)} % sure`;
    const considered = run.considered.filter((c) => typeof c.score === "number").slice(0, 8);
    replace(this.about, h("p", { class: "source" }, `${sourceName(plan.source)}${sure}`, plan.tasks.length > 1 ? `, ${plan.tasks.length} tasks` : ", 1 task"),
      considered.length ? h("details", { class: "weighed" }, h("summary", {}, "What was considered"),
        h("ul", {}, considered.map((c) => h("li", {}, h("span", {}, c.name), h("meter", { min: 0, max: 1, value: Math.max(0, Math.min(1, c.score)), "aria-label": "score" }), h("span", { class: "num" }, c.score.toFixed(2)))))) : null);
  }

  choose(id) {
    const again = this.chosen === id;
    this.chosen = again ? null : id;
    this.graph.select(this.chosen);
    this.details.hidden = again;
    this.detailKey = "";
    this.#details();
    if (!again) this.details.scrollIntoView({ block: "nearest" });
  }

  #details() {
    const task = this.chosen && this.run.tasks.get(this.chosen);
    if (!task) { this.details.hidden = true; return; }
    const children = task.children.map((id) => this.run.tasks.get(id)).filter(Boolean);
    const key = `${this.run.id} ${task.id} ${task.status} ${task.attempt} ${task.note} ${children.map((c) => c.status)} ${isOver(this.run)}`;
    if (key === this.detailKey) return;
    this.detailKey = key;
    const { read, after } = inputsOf(task.spec);
    const close = h("button", { type: "button", class: "tool icon", "aria-label": "Close the details", click: () => {
      const id = task.id;
      this.choose(id);
      this.graph.nodes.get(id)?.group.focus();
    } }, s("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, s("path", { d: "M4 4l8 8M12 4l-8 8" })));
    replace(this.details,
      h("header", {}, stateIcon(task.status), h("h3", {}, task.title), close),
      h("dl", { class: "facts" },
        fact("State", [stateName(task.status), task.seconds !== null ? ` in ${seconds(task.seconds)}` : "", task.attempt > 1 ? `, attempt ${task.attempt}` : ""]),
        fact("Capability", h("code", {}, task.capability)),
        task.route ? fact("Expert", [h("strong", {}, task.route.expert), task.route.reason ? h("span", { class: "why" }, task.route.reason) : null]) : null,
        task.note ? fact("How", task.note) : null,
        task.reason ? fact("Why not", task.reason) : null,
        task.confidence !== null && task.confidence !== undefined ? fact("Confidence", `${Math.round(task.confidence * 100)} %`) : null,
        task.usage && (task.usage.cost || task.usage.calls) ? fact("Spent", [money(task.usage.cost), task.usage.input_tokens || task.usage.output_tokens ? `, ${task.usage.input_tokens + task.usage.output_tokens} tokens` : ""]) : null,
        read.length ? fact("Reads", read.map((id) => this.run.tasks.get(id)?.title || id).join(", ")) : null,
        after.length ? fact("After", after.map((id) => this.run.tasks.get(id)?.title || id).join(", ")) : null),
      task.error ? h("p", { class: "fault", role: "note" }, task.error.message) : null,
      task.status === "held" ? h("p", { class: "asks" }, "Its question stands in the conversation.") : null, this.#again(task),
      this.#arguments(task), runnersUp(task.route), childList(children), this.#result(task));
  }

  #again(task) {
    if (!isOver(this.run) || this.run.dryRun || !this.run.plan) return null;
    const fault = h("p", { class: "fault", role: "alert", hidden: true });
    const run = this.run;
    const button = h("button", { type: "button", class: "act second", click: async () => {
      button.disabled = true;
      fault.hidden = true;
      try {
        await this.onRerun(run, task.id);
      } catch (error) {
        fault.textContent = error.message;
        fault.hidden = false;
      }
      button.disabled = false;
    } }, "Run again from here");
    return h("div", { class: "block again" }, button, fault);
  }

  #arguments(task) {
    const entries = Object.entries(task.spec.arguments || {});
    if (!entries.length) return null;
    return h("div", { class: "block" }, h("h4", {}, "Arguments"), h("dl", { class: "facts args" },
      entries.map(([name, value]) => [h("dt", {}, name), h("dd", {}, this.#argument(value))])));
  }

  #argument(value) {
    if (value && typeof value === "object" && typeof value.$task === "string") {
      const title = this.run.tasks.get(value.$task)?.title || value.$task;
      return h("span", { class: "ref" }, `result of “${title}”`, value.path ? h("code", {}, value.path) : null);
    }
    if (value && typeof value === "object" && value.kind === "file") return value.name;
    if (value && typeof value === "object" && value.kind === "quantity") return `${value.value} ${value.unit || ""}`;
    if (typeof value === "string") return value.length > 400 ? `${value.slice(0, 400)}…` : value;
    const text = JSON.stringify(value);
    return h("code", {}, text.length > 400 ? `${text.slice(0, 400)}…` : text);
  }

  #result(task) {
    if (task.status !== "done") return null;
    const box = h("div", { class: "block result" }, h("h4", {}, "Result"), h("p", { class: "written" }, task.preview || task.kind || ""));
    const run = this.run.id;
    getSlot(run, task.id).then(({ value, kind }) => {
      if (box.isConnected) replace(box, h("h4", {}, "Result"), valueView(value, kind, { run, task: task.id, title: task.title, page: 8 }));
    }).catch(() => { /* the preview stays: the slot may have expired */ });
    return box;
  }
}

const fact = (name, value) => [h("dt", {}, name), h("dd", {}, value)];

function runnersUp(route) {
  const others = route ? (route.candidates || []).filter((c) => c.expert !== route.expert) : [];
  if (!others.length) return null;
  return h("div", { class: "block" }, h("h4", {}, "Runners-up"), h("ul", { class: "rivals" }, others.slice(0, 6).map((c) =>
    h("li", {}, h("span", {}, c.expert, c.healthy ? "" : " (not healthy)"), h("span", { class: "num" }, Number(c.score).toFixed(2)), h("span", { class: "why" }, c.why)))));
}

function childList(children) {
  if (!children.length) return null;
  return h("div", { class: "block" }, h("h4", {}, `Items (${children.filter((c) => c.status === "done").length} of ${children.length} done)`),
    h("ul", { class: "rivals" }, children.slice(0, 50).map((c) => h("li", {}, stateIcon(c.status), h("span", {}, c.id.slice(c.id.lastIndexOf("["))), h("span", { class: "why" }, c.status === "held" ? stateName("held") : c.error ? c.error.message : c.preview)))));
}

function sourceName(source) {
  if (source.startsWith("workflow:")) return `From the workflow “${source.slice(9)}”`;
  if (source.startsWith("llm:")) return `Planned by ${source.slice(4)}`;
  return { embedded: "Planned here", given: "Given with the request" }[source] || source;
}

const emptyTrack = () => s("svg", { class: "empty-track", viewBox: "0 0 260 120", "aria-hidden": "true" },
  s("path", { d: "M130 16V34L70 46V74L130 88V104M130 34 190 46V74L130 88" }),
  [[130, 14], [70, 60], [190, 60], [130, 106]].map(([x, y]) => s("rect", { x: x - 34, y: y - 10, width: 68, height: 20, rx: 3 })));

