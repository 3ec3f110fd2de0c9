// What waits for a person, in the conversation: the exact arguments, and the ways to decide.

import { h, replace, stateIcon } from "./dom.js";
import { decide } from "./api.js";
import { isOver } from "./run.js";

const LONG = 3000;
const BY = "a person on the page";

export class Approvals {
  constructor(run) {
    this.run = run;
    this.cards = new Map();
    this.element = h("div", { class: "approvals" });
  }

  // Cards are kept as they are while nothing changes about them: somebody may be typing in one.
  refresh() {
    for (const asked of this.run.approvals.values()) {
      const known = this.cards.get(asked.id);
      const state = stateOf(this.run, asked);
      if (known && known.state === state) continue;
      if (known && state === "edited") { known.state = state; continue; } // the changed request comes next and takes its place
      const element = state === "pending" ? new Card(this.run, asked).element : outcome(this.run, asked, state);
      if (!known) this.#place(asked, element);
      else this.#swap(known.element, element);
      this.cards.set(asked.id, { state, element });
    }
  }

  // A changed request stands where the one before it stood.
  #place(asked, element) {
    const before = asked.edits && this.cards.get(asked.edits);
    if (!before) { this.element.append(element); return; }
    this.#swap(before.element, element);
    before.element = null;
  }

  #swap(old, element) {
    if (!old) return;
    const focused = old.contains(document.activeElement);
    old.replaceWith(element);
    if (focused) (this.element.querySelector(".approval button") || document.getElementById("request")).focus();
  }
}

function stateOf(run, asked) {
  if (asked.decision) return asked.decision;
  return run.cancelling || isOver(run) ? "closed" : "pending";
}

const WORDS = { approved: "Approved", denied: "Denied", done: "It happened", expired: "Nobody decided in time",
  edited: "Changed", closed: "Not decided: the run was stopped" };

function outcome(run, asked, state) {
  const sign = { approved: "done", done: "done", denied: "failed" }[state] || "cancelled";
  return h("p", { class: "decided", "data-approval": asked.id }, stateIcon(sign), h("span", {}, `${WORDS[state] || state}: `, titleOf(run, asked)),
    h("code", {}, asked.capability), asked.by && state !== "expired" ? h("span", { class: "quiet" }, `by ${asked.by}${asked.note ? `: ${asked.note}` : ""}`) : null);
}

const titleOf = (run, asked) => run.tasks.get(asked.task)?.title || asked.task;

class Card {
  constructor(run, asked) {
    this.run = run;
    this.asked = asked;
    this.unknown = asked.why === "unknown-effect";
    this.form = h("div", { class: "answering", hidden: true });
    this.fault = h("p", { class: "fault", role: "alert", hidden: true });
    this.buttons = h("div", { class: "choices" }, this.unknown ? this.#unknownWays() : this.#ways());
    this.element = h("section", { class: "approval", "data-approval": asked.id, "aria-label": `Approval for ${titleOf(run, asked)}` },
      h("header", {}, stateIcon("held"), h("h3", {}, `${titleOf(run, asked)} waits for you`)),
      h("p", {}, asked.question, asked.question.includes(asked.capability) ? null : [" ", h("code", {}, asked.capability)]),
      argumentList(asked.arguments),
      h("p", { class: "quiet" }, asked.why === "edited" ? "The arguments were changed. " : "", `Expires ${moment(asked.expires)}`),
      this.form, this.fault, this.buttons);
  }

  #ways() {
    return [this.#button("Approve", "act", () => this.#send({ decision: "approved" })),
      this.#button("Deny", "act second", () => this.#send({ decision: "denied" })),
      this.#button("Edit", "tool", () => this.#edit())];
  }

  #unknownWays() {
    return [this.#button("It happened", "act", () => this.#happened()),
      this.#button("Call it again", "act second", () => this.#send({ decision: "approved" })),
      this.#button("Give it up", "tool", () => this.#send({ decision: "denied" }))];
  }

  #button = (words, kind, click) => h("button", { type: "button", class: kind, click }, words);

  #edit() {
    const text = JSON.stringify(this.asked.arguments, null, 2);
    this.#open("Arguments, as JSON", text, "Use these", (typed) => {
      let value;
      try { value = JSON.parse(typed); } catch (error) { return this.#say(`This is no JSON: ${error.message}`); }
      if (!value || typeof value !== "object" || Array.isArray(value)) return this.#say("An object of arguments is needed: {\"name\": value}");
      return this.#send({ decision: "edited", arguments: value });
    });
  }

  #happened() {
    this.#open("Its result, as JSON or text (may be empty)", "", "It happened", (typed) => this.#send({ decision: "done", value: jsonOrText(typed) }));
  }

  #open(label, text, words, use) {
    const field = h("textarea", { rows: Math.min(14, text.split("\n").length + 1), spellcheck: "false" });
    field.value = text;
    const shut = () => { this.form.hidden = true; this.buttons.hidden = false; this.#say(""); this.buttons.querySelector("button").focus(); };
    field.addEventListener("keydown", (e) => {
      if (e.key === "Escape") { e.stopPropagation(); shut(); } else if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) use(field.value);
    });
    replace(this.form, h("label", {}, h("span", {}, label), field),
      h("div", { class: "choices" }, this.#button(words, "act", () => use(field.value)), this.#button("Cancel", "tool", shut)));
    this.form.hidden = false;
    this.buttons.hidden = true;
    field.focus();
  }

  #say(words) {
    this.fault.textContent = words;
    this.fault.hidden = !words;
  }

  // What comes of it is told by the run's events, here and on every other page.
  async #send(body) {
    if (this.element.getAttribute("aria-busy")) return;
    this.#say("");
    this.element.setAttribute("aria-busy", "true");
    try {
      await decide(this.run.id, this.asked.id, { ...body, digest: this.asked.digest, by: BY });
    } catch (error) {
      this.element.removeAttribute("aria-busy");
      this.#say(error.message);
    }
  }
}

function jsonOrText(typed) {
  if (!typed.trim()) return null;
  try { return JSON.parse(typed); } catch { return typed; }
}

// Every argument, whole: what is long is cut on the screen until it is asked for.
function argumentList(given) {
  const entries = Object.entries(given);
  if (!entries.length) return h("p", { class: "quiet" }, "Without arguments");
  return h("dl", { class: "facts args" }, entries.map(([name, value]) => [h("dt", {}, name), h("dd", {}, exact(value))]));
}

function exact(value) {
  const text = visible(typeof value === "string" ? value : JSON.stringify(value, null, typeof value === "object" ? 1 : 0));
  const box = h(typeof value === "string" ? "span" : "code", { class: "written" }, text.length > LONG ? text.slice(0, LONG) : text || "(empty text)");
  if (text.length <= LONG) return box;
  return [box, h("button", { type: "button", class: "tool", click: (e) => { box.textContent = text; e.target.remove(); } }, `… show all ${text.length.toLocaleString("en")} characters`)];
}

// Characters that show nothing, or turn the direction of what follows, would hide what is approved.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const visible = (text) => text.replace(HIDDEN, (c) => `⟨U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);

function moment(at) {
  const date = new Date(at * 1000);
  return date.toLocaleString([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
}
