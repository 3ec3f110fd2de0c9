// A run as the page knows it: folded from its events, one by one. No drawing here.

export function newRun(id, request) {
  return {
    id, request, status: "queued", phase: null, created: null, ended: null, seconds: null, thread: null,
    plan: null, version: 0, considered: [], estimate: {}, tasks: new Map(), answer: null, text: "", usage: {}, error: null,
    cancelling: false, files: [], dryRun: false, approvals: new Map(),
  };
}

const OVER = new Set(["done", "failed", "refused", "cancelled"]);
export const isOver = (run) => OVER.has(run.status);
const SETTLED = new Set(["done", "failed", "skipped", "cancelled"]);

function newTask(task) {
  return { id: task.id, spec: task, title: task.title || task.id, capability: task.capability, status: "waiting",
    route: null, attempt: 0, started: null, seconds: null, share: null, note: "", preview: "", kind: null,
    usage: null, confidence: null, error: null, reason: "", failures: [], children: [] };
}

// Ids of the tasks whose results a task reads, and of those it only waits for.
export function inputsOf(task) {
  const read = new Set();
  const walk = (value) => {
    if (Array.isArray(value)) value.forEach(walk);
    else if (value && typeof value === "object") {
      if (typeof value.$task === "string") read.add(value.$task);
      else Object.values(value).forEach(walk);
    }
  };
  walk(task.arguments);
  if (task.for_each) walk(task.for_each.over);
  if (task.when) {
    if (typeof task.when.ref?.$task === "string") read.add(task.when.ref.$task);
    walk(task.when);
  }
  return { read: [...read], after: (task.after || []).filter((id) => !read.has(id)) };
}

function adopt(run, plan) {
  run.plan = plan;
  const kept = run.tasks;
  run.tasks = new Map(plan.tasks.map((task) => {
    const known = kept.get(task.id);
    return [task.id, known && known.status === "done" ? known : newTask(task)];
  }));
}

function taskOf(run, id) {
  if (!run.tasks.has(id)) {
    const parent = run.tasks.get(id.replace(/\[\d+\]$/, ""));
    const title = parent ? `${parent.title}, item ${Number(id.match(/\[(\d+)\]$/)[1]) + 1}` : id;
    const task = newTask({ id, title, capability: parent ? parent.capability : "", arguments: {}, after: [] });
    task.child = parent ? parent.id : null;
    run.tasks.set(id, task);
  }
  return run.tasks.get(id);
}

const folds = {
  "run.created": (run, e) => { run.created = e.at; run.request = e.request; run.status = "running"; },
  "phase.entered": (run, e) => { run.phase = e.phase; run.status = "running"; },
  "plan.proposed": (run, e) => {
    adopt(run, e.plan);
    run.version = e.version; run.considered = e.considered || []; run.estimate = e.estimate || {};
  },
  "task.ready": (run, e) => { const t = taskOf(run, e.task); if (!SETTLED.has(t.status)) t.status = "ready"; },
  "task.routed": (run, e) => Object.assign(taskOf(run, e.task), { status: "queued", route: e.route, attempt: e.attempt }),
  "task.started": (run, e) => Object.assign(taskOf(run, e.task), { status: "running", started: e.at, attempt: e.attempt, share: null }),
  "task.progressed": (run, e) => Object.assign(taskOf(run, e.task), { share: e.share, note: e.note }),
  "task.expanded": (run, e) => {
    const task = taskOf(run, e.task);
    task.children = e.children; task.status = "running"; task.started = e.at;
    for (const child of e.children) taskOf(run, child).status = "ready";
  },
  "task.done": (run, e) => Object.assign(taskOf(run, e.task), { status: "done", kind: e.kind, preview: e.preview,
    note: e.note, usage: e.usage, seconds: e.seconds, confidence: e.confidence, error: null }),
  "task.failed": (run, e) => {
    const task = taskOf(run, e.task);
    task.failures.push({ error: e.error, expert: task.route && task.route.expert });
    task.error = e.error;
    if (task.started) task.seconds = e.at - task.started;
    task.status = e.final ? "failed" : "ready";
  },
  "task.skipped": (run, e) => Object.assign(taskOf(run, e.task), { status: "skipped", reason: e.reason }),
  "task.cancelled": (run, e) => Object.assign(taskOf(run, e.task), { status: "cancelled" }),
  "approval.requested": (run, e) => {
    const { approval, at, type, ...asked } = e;
    run.approvals.set(approval, { ...asked, id: approval, created: at, decision: null, by: "", note: "" });
    taskOf(run, e.task).status = "held";
  },
  "approval.decided": (run, e) => {
    const asked = run.approvals.get(e.approval);
    if (asked) Object.assign(asked, { decision: e.decision, by: e.by, note: e.note });
    const task = taskOf(run, e.task);
    if (e.decision !== "edited" && task.status === "held") task.status = "ready";
  },
  "run.cancelling": (run) => { run.cancelling = true; },
  "answer.delta": (run, e) => { run.text += e.text; },
  "answer.ready": (run, e) => { run.answer = e.answer; run.text = e.answer.text || run.text; },
  "run.ended": (run, e) => {
    Object.assign(run, { status: e.status, usage: e.usage, seconds: e.seconds, error: e.error, ended: e.at, phase: null });
    for (const task of run.tasks.values()) if (!SETTLED.has(task.status)) task.status = "cancelled";
  },
};

// Changes `run` by one event. Events of a kind this page does not know are passed over.
export function fold(run, event) {
  const change = folds[event.type];
  if (change) change(run, event);
  return run;
}

export const mainTasks = (run) => [...run.tasks.values()].filter((t) => !t.child);

export function progress(run) {
  const tasks = mainTasks(run);
  return { done: tasks.filter((t) => SETTLED.has(t.status)).length, all: tasks.length };
}

const PHASES = { understand: "Reading the request", plan: "Planning", review: "Checking the plan", dispatch: "Working",
  assess: "Looking at the results", replan: "Planning again", respond: "Writing the answer" };

export function statusLine(run) {
  if (run.status === "done") return run.dryRun ? "Planned, not run" : "Done";
  if (run.status === "failed") return "Failed";
  if (run.status === "refused") return "Not possible";
  if (run.status === "cancelled") return "Stopped";
  if (run.cancelling) return "Stopping";
  const { done, all } = progress(run);
  const held = [...run.approvals.values()].filter((a) => !a.decision).length;
  if (held) return `${done} of ${all} done, ${held} wait${held === 1 ? "s" : ""} for you`;
  if (run.phase === "dispatch" && all) return `${done} of ${all} task${all === 1 ? "" : "s"} done`;
  return PHASES[run.phase] || "Waiting for a controller";
}
