// Whether the plan of a run was right: two buttons under its answer. What was right is remembered and done the
// same way when it is asked for again; what was wrong is not.

import { h, s } from "./dom.js";
import * as api from "./api.js";

const TOLD = { remembered: "Remembered", barred: "Not used again", noted: "Noted" };
const SIGNS = { right: "M2.5 8.5 6 12 13.5 4", wrong: "M4 4l8 8M12 4l-8 8" };

export class Verdict {
  constructor(run) {
    this.run = run;
    this.right = this.#button("right", true, "The plan was right: do it this way again");
    this.wrong = this.#button("wrong", false, "The plan was wrong: do not do it this way again");
    this.told = h("span", { class: "quiet told", role: "status" });
    this.element = h("span", { class: "verdict", role: "group", "aria-label": "Was this right?" }, this.right, this.wrong, this.told);
    api.getFeedback(run.id).then(({ right }) => this.#press(right)).catch(() => {});
  }

  #button(kind, right, label) {
    return h("button", { type: "button", class: "tool icon", "aria-label": label, title: label, "aria-pressed": "false", click: () => this.#say(right) },
      s("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, s("path", { d: SIGNS[kind] })));
  }

  async #say(right) {
    this.told.textContent = "";
    this.element.setAttribute("aria-busy", "true");
    try {
      const { outcome, why } = await api.feedback(this.run.id, right);
      this.#press(right);
      this.told.textContent = right ? TOLD[outcome] : "Not used again";
      this.told.title = why || "";
    } catch (error) {
      this.told.textContent = error.message;
    }
    this.element.removeAttribute("aria-busy");
  }

  #press(right) {
    this.right.setAttribute("aria-pressed", String(right === true));
    this.wrong.setAttribute("aria-pressed", String(right === false));
  }
}
