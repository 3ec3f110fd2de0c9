// The gateway's routes, as functions. Errors carry the gateway's own words.

export class ApiError extends Error {
  constructor(message, code, retryable) {
    super(message);
    this.code = code;
    this.retryable = retryable;
  }
}

async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new ApiError("The server does not answer. Is it still running?", "offline", true);
  }
  if (response.status === 204) return null;
  const body = await response.json().catch(() => null);
  if (!response.ok) {
    const error = body && body.error ? body.error : {};
    throw new ApiError(error.message || `The server answered ${response.status}.`, error.code, error.retryable);
  }
  return body;
}

const post = (path, body) => call(path, {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
});

const part = encodeURIComponent;
export const createRun = (spec) => post("/v1/runs", { ...spec, timezone: -new Date().getTimezoneOffset() });
export const cancelRun = (id) => post(`/v1/runs/${part(id)}/cancel`, { reason: "stopped on the page" });
export const decide = (run, approval, body) => post(`/v1/runs/${part(run)}/approvals/${part(approval)}`, body);
export const rerun = (run, task) => post(`/v1/runs/${part(run)}/rerun`, { from_task: task });
export const feedback = (run, right) => post(`/v1/runs/${part(run)}/feedback`, { right, by: "page" });
export const getFeedback = (run) => call(`/v1/runs/${part(run)}/feedback`);
export const getRun = (id) => call(`/v1/runs/${part(id)}`);
export const listRuns = (before) => call(`/v1/runs?limit=40${before ? `&before=${part(before)}` : ""}`);
export const runsOf = (thread) => call(`/v1/runs?limit=200&thread=${part(thread)}`);
export const getSlot = (run, task) => call(`/v1/runs/${part(run)}/tasks/${part(task)}`);
export const getFile = (id) => call(`/v1/files/${part(id)}`);
export const capabilities = () => call("/v1/capabilities");
export const downloadUrl = (run, task, format) => `/v1/runs/${part(run)}/tasks/${part(task)}/download?format=${part(format)}`;
export const contentUrl = (file) => `/v1/files/${part(file)}/content`;

// Sends files with their relative names; `progress` hears the share sent, 0 to 1.
export function upload(files, progress) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    for (const { file, name } of files) form.append("file", file, name);
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/files");
    request.responseType = "json";
    request.upload.addEventListener("progress", (e) => e.lengthComputable && progress(e.loaded / e.total));
    request.addEventListener("load", () => {
      const body = request.response;
      if (request.status === 201) resolve(body.files);
      else reject(new ApiError((body && body.error && body.error.message) || `The server answered ${request.status}.`));
    });
    request.addEventListener("error", () => reject(new ApiError("The upload broke off. Is the server still running?")));
    request.send(form);
  });
}

const TYPES = ["run.created", "phase.entered", "plan.proposed", "task.ready", "task.routed", "task.started",
  "task.progressed", "task.expanded", "task.done", "task.failed", "task.skipped", "task.cancelled",
  "approval.requested", "approval.decided", "run.cancelling", "answer.delta", "answer.ready", "run.ended"];

// Watches a run from its first event to its last. The browser reconnects by itself and says where it
// was; when the server was gone for good (a restart), we open the stream again after the last id.
export function watch(run, onEvent, onLink) {
  let source = null;
  let last = null;
  let wait = 500;
  let timer = 0;
  let closed = false;
  const open = () => {
    source = new EventSource(`/v1/runs/${part(run)}/events${last ? `?after=${part(last)}` : ""}`);
    source.addEventListener("open", () => { wait = 500; onLink(true); });
    source.addEventListener("error", () => {
      if (closed) return;
      onLink(false);
      if (source.readyState !== EventSource.CLOSED) return;
      timer = setTimeout(open, wait);
      wait = Math.min(wait * 2, 8000);
    });
    for (const type of TYPES) {
      source.addEventListener(type, (message) => {
        last = message.lastEventId || last;
        const event = JSON.parse(message.data);
        if (event.type === "run.ended") stop();
        onEvent(event);
      });
    }
  };
  const stop = () => { closed = true; clearTimeout(timer); source.close(); };
  open();
  return stop;
}
