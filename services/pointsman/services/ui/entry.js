// One run in the conversation: what was asked, how it stands, the answer.

import { h, replace, seconds, money, count, stateIcon, stateName } from "./dom.js";
import { answerView } from "./answer.js";
import { Approvals } from "./approvals.js";
import { Verdict } from "./verdict.js";
import { isOver, progress, statusLine } from "./run.js";

export class Entry {
  constructor(run, acts) {
    this.run = run;
    this.acts = acts;
    this.asked = h("div", { class: "asked" });
    this.line = h("button", { type: "button", class: "line", title: "Show this plan", click: () => acts.show(this, true) });
    this.meter = h("div", { class: "meter", "aria-hidden": "true" }, h("i"));
    this.answer = h("div", { class: "answer" });
    this.approvals = new Approvals(run);
    this.element = h("article", { class: "entry", "data-run": run.id }, this.asked,
      h("div", { class: "reply" }, h("div", { class: "line-row" }, this.line), this.meter, this.approvals.element, this.answer));
    this.#asked();
    this.refresh();
  }

  #asked() {
    const { request, files } = this.run;
    const long = request.length > 1200;
    const words = h("p", { class: "written" }, long ? `${request.slice(0, 1000)}…` : request);
    replace(this.asked, h("h2", { class: "unseen" }, "Request"), words,
      long ? h("button", { type: "button", class: "tool", click: (e) => { words.textContent = request; e.target.remove(); } }, `Show all ${request.length.toLocaleString("en")} characters`) : null,
      files.length ? h("ul", { class: "chips sent" }, files.slice(0, 8).map((f) => h("li", { class: "chip" }, h("span", { class: "name" }, f.name))),
        files.length > 8 ? h("li", { class: "chip" }, `and ${files.length - 8} more`) : null) : null);
  }

  refresh() {
    const { run } = this;
    this.#line();
    this.approvals.refresh();
    const key = `${run.status} ${run.text.length} ${run.answer ? 1 : 0} ${run.error ? 1 : 0}`;
    if (key === this.key) return;
    this.key = key;
    if (isOver(run)) this.#whole();
    else if (run.answer || run.text) replace(this.answer, this.#body());
  }

  #line() {
    const { run } = this;
    const over = isOver(run);
    const { done, all } = progress(run);
    const state = over ? run.status : "running";
    const current = [...run.tasks.values()].filter((t) => t.status === "running" && !t.child).map((t) => t.title);
    const key = `${state} ${statusLine(run)} ${current.join()} ${run.seconds}`;
    if (key !== this.lineKey) {
      this.lineKey = key;
      replace(this.line, stateIcon(state), h("span", { class: "state-words" }, statusLine(run)),
        over && run.seconds !== null ? h("span", { class: "quiet" }, `${seconds(run.seconds)}${all ? `, ${count(all, "task")}` : ""}, ${money(run.usage.cost)}`) : null,
        !over && current.length ? h("span", { class: "quiet now" }, current.slice(0, 2).join("; ")) : null);
    }
    this.meter.classList.toggle("over", over);
    this.meter.firstChild.style.setProperty("transform", `scaleX(${all ? Math.max(0.04, done / all) : 0.04})`);
  }

  #body() {
    const { run } = this;
    const answer = run.answer || { text: run.text, parts: [] };
    return answerView(answer, (answer.text || run.text || "").trim(), run.id);
  }

  #whole() {
    const { run } = this;
    const answer = run.answer || {};
    replace(this.answer,
      run.error && !sameWords(run.error.message, answer.text) ? h("p", { class: "fault" }, run.error.message) : null,
      this.#body(), remarks("Not done", answer.unserved, "unserved"), remarks("Taken for granted", answer.assumptions, ""),
      (answer.steps || []).length ? steps(answer.steps, (task) => this.acts.task(this, task)) : null, this.#acts(answer));
  }

  #acts(answer) {
    const { run } = this;
    const copy = h("button", { type: "button", class: "tool", click: () => this.acts.copy(answer.text || run.text, copy) }, "Copy");
    return h("div", { class: "after" },
      answer.text || run.text ? copy : null,
      h("button", { type: "button", class: "tool", click: () => this.acts.retry(run) }, run.status === "done" ? "Run again" : "Retry"),
      h("button", { type: "button", class: "tool phone", click: () => this.acts.show(this, true) }, "Plan"),
      run.id && run.plan && !run.dryRun && ["done", "failed"].includes(run.status) ? new Verdict(run).element : null);
  }
}

const sameWords = (a, b) => Boolean(b) && String(b).includes(String(a));

function remarks(title, list, kind) {
  if (!list || !list.length) return null;
  return h("div", { class: `remarks ${kind}` }, h("h4", {}, title), h("ul", {}, list.map((x) => h("li", {}, typeof x === "string" ? x : JSON.stringify(x)))));
}

function steps(list, onTask) {
  return h("details", { class: "steps" }, h("summary", {}, `How it was done: ${count(list.length, "step")}`),
    h("ol", {}, list.map((step) => h("li", {},
      stateIcon(step.status), h("button", { type: "button", class: "step", click: () => onTask(step.task) }, step.title || step.task),
      h("span", { class: "unseen" }, stateName(step.status)),
      h("span", { class: "quiet" }, [step.expert, step.seconds !== null && step.seconds !== undefined ? seconds(step.seconds) : ""].filter(Boolean).join(", ")),
      step.note || step.reason ? h("span", { class: "why" }, [step.note, step.reason].filter(Boolean).join("; ")) : null))));
}
