// Files that go along with the next request: chosen, dropped, pasted; shown as chips.

import { h, replace, count, bytes } from "./dom.js";
import { upload } from "./api.js";

export class Uploads {
  constructor(list, say) {
    this.list = list;
    this.say = say;
    this.chips = [];
  }

  get ids() {
    return this.chips.filter((c) => c.file).map((c) => c.file.id);
  }

  get busy() {
    return this.chips.some((c) => c.busy);
  }

  // entries: [{file, name}]. Gives when they are stored, or failed, each shown on its chip.
  async add(entries) {
    if (!entries.length) return;
    const chip = { busy: true, share: 0, label: entries.length === 1 ? entries[0].name : count(entries.length, "file") };
    this.chips.push(chip);
    this.draw();
    try {
      const files = await upload(entries, (share) => { chip.share = share; this.draw(); });
      this.chips.splice(this.chips.indexOf(chip), 1, ...files.map((file) => ({ file })));
      this.say(`${count(files.length, "file")} ready`);
    } catch (error) {
      Object.assign(chip, { busy: false, fault: error.message });
      this.say(error.message);
    }
    this.draw();
  }

  set(files) {
    this.chips = files.map((file) => ({ file }));
    this.draw();
  }

  remove(chip) {
    const at = this.chips.indexOf(chip);
    this.chips.splice(at, 1);
    this.draw();
    const next = this.list.querySelectorAll("button")[Math.min(at, this.chips.length - 1)];
    if (next) next.focus();
    else document.getElementById("request").focus();
  }

  draw() {
    const many = this.chips.length > 12;
    const shown = many ? this.chips.slice(0, 11) : this.chips;
    replace(this.list, shown.map((c) => chipView(c, () => this.remove(c))),
      many ? h("li", { class: "chip" }, h("span", {}, `and ${this.chips.length - 11} more`),
        h("button", { type: "button", "aria-label": "Remove all files", click: () => this.set([]) }, "×")) : null);
  }
}

function chipView(chip, remove) {
  const name = chip.file ? chip.file.name : chip.label;
  return h("li", { class: `chip${chip.fault ? " bad" : ""}`, title: chip.fault || name },
    h("span", { class: "name" }, name), h("span", { class: "size" }, chip.fault || (chip.busy ? `${Math.round(chip.share * 100)} %` : shape(chip.file))),
    chip.busy ? null : h("button", { type: "button", "aria-label": `Remove ${name}`, click: remove }, "×"));
}

export function shape(file) {
  const profile = file.profile || {};
  if (profile.error) return "cannot be read";
  if (profile.shape === "table" && profile.row_count !== null) return `${count(profile.row_count, "row")}, ${count(profile.columns.length, "column")}`;
  return bytes(file.size);
}

// Files of a drop, folders opened; names are relative to what was dropped.
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, name: file.name }));
  const found = [];
  for (const entry of entries) await walk(entry, "", found);
  return found;
}

async function walk(entry, folder, found) {
  if (found.length >= 1000 || entry.name.startsWith(".")) return;
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    found.push({ file, name: folder + entry.name });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!batch.length) return;
    for (const inner of batch) await walk(inner, `${folder}${entry.name}/`, found);
  }
}

export const chosen = (input) => [...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
