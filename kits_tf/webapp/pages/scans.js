// The list of scans: dropped or chosen, sent, and watched until their masks are there.
import * as api from "./api.js";
import { byId, make } from "./dom.js";
import { chosen as chosenFiles, dropped, scansOf } from "./files.js";

const POLL_MS = 700, AT_ONCE = 4;
const OVER = new Set(["done", "failed", "refused", "cancelled"]), STILL = new Set([...OVER, "choosing"]);

// key -> {sent, total, controller} of what this page is sending
const uploads = new Map();
let scans = [], chosen = null, timer = null;
// Keys of the scans that were sent last, until one of them is segmented and opens by itself.
let awaited = new Set();
let onChosen = () => {}, onRemoved = () => {}, mayChange = () => true, isBusy = () => false;

export async function startList({ choose, removed, mayLeave, isPainted }) {
  [onChosen, onRemoved, mayChange, isBusy] = [choose, removed, mayLeave, isPainted];
  const drop = document.body;
  drop.addEventListener("dragover", event => { event.preventDefault(); byId("drop").classList.add("over"); });
  drop.addEventListener("dragleave", event => { if (!event.relatedTarget) byId("drop").classList.remove("over"); });
  drop.addEventListener("drop", async event => {
    event.preventDefault();
    byId("drop").classList.remove("over");
    await send(await dropped(event.dataTransfer));
  });
  for (const id of ["file", "folder"]) {
    byId(id).addEventListener("change", async event => {
      const files = chosenFiles(event.target);
      event.target.value = "";
      await send(files);
    });
  }
  await refresh();
  const done = scans.find(scan => scan.state === "done");
  if (done && !chosen) open(done);
}

export async function tryExample() {
  say("");
  byId("passed-over").textContent = "";
  try {
    awaited = new Set([(await api.example()).key]);
  } catch (error) {
    say(error.message);
  }
  await refresh();
}

async function send(files) {
  const { scans: dropped, notes } = scansOf(files), problems = [];
  byId("passed-over").textContent = notes.join(" ");
  say("");
  awaited = new Set();
  for (const scan of dropped) {
    try {
      await sendScan(scan);
    } catch (error) {
      problems.push(`${scan.name}: ${error.message}`);
      say(problems.join(" "));
    }
  }
}

async function sendScan({ name, files, reference }) {
  const { key } = await api.add(name);
  awaited?.add(key);
  const sent = new Array(files.length).fill(0), controller = new AbortController();
  const total = files.reduce((sum, file) => sum + file.size, 0);
  uploads.set(key, { sent, total, controller });
  await refresh();
  let next = 0;
  const lane = async () => {
    while (next < files.length) {
      const number = next++;
      const report = bytes => { sent[number] = bytes; show(); };
      await api.upload(key, number, files[number], report, controller.signal);
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    if (reference) await api.sendReference(key, reference);
    await api.start(key);
  } catch (error) {
    controller.abort();
    await api.remove(key).catch(() => {});
    throw error;
  } finally {
    uploads.delete(key);
    await refresh();
  }
}

export async function refresh() {
  clearTimeout(timer);
  try {
    scans = await api.scans();
    const next = scans.find(scan => scan.state === "done" && awaited?.has(scan.key));
    if (next) {
      awaited = null;
      if (!isBusy()) open(next);
    }
  } catch (error) {
    say(error.message);
  }
  show();
  if (scans.some(scan => !STILL.has(scan.state))) timer = setTimeout(refresh, POLL_MS);
}

function choose(scan) {
  if (!mayChange()) return;
  say("");
  open(scan);
}

function open(scan) {
  chosen = scan.key;
  show();
  onChosen(scan);
}

async function goOn(scan, request) {
  await request.catch(error => say(error.message));
  await refresh();
  byId("list").querySelector(`[data-key="end ${CSS.escape(scan.key)}"]`)?.focus();
}

async function remove(scan) {
  if (chosen === scan.key && !mayChange()) return;
  if (scan.is_corrected && !confirm("You have corrected this mask. Remove it with its scan?")) return;
  uploads.get(scan.key)?.controller.abort();
  try {
    await api.remove(scan.key);
  } catch (error) {
    say(error.message);
  }
  if (chosen === scan.key) {
    chosen = null;
    onRemoved();
  }
  await refresh();
  byId("file").focus();
}

// The words about a scan, and the share of its present step that is done: null where it is unknown, undefined without a step.
function progress(scan) {
  const upload = uploads.get(scan.key);
  if (scan.state === "uploading" && upload) {
    const sent = upload.sent.reduce((sum, bytes) => sum + bytes, 0);
    return [`sending, ${(sent / 1e6).toFixed(1)} of ${(upload.total / 1e6).toFixed(1)} MB`, sent / Math.max(upload.total, 1)];
  }
  if (scan.state === "uploading") return ["was not sent in full", undefined];
  if (scan.state === "queued") return [`waiting, ${scan.before} before it`, null];
  if (scan.state === "reading") return ["reading", null];
  if (scan.state === "choosing") return ["has several series; which one?", undefined];
  if (scan.state === "segmenting") {
    const [done, total] = scan.windows ?? [0, 0];
    if (!total) return ["segmenting", null];
    return done < total ? [`window ${done} of ${total}`, done / total] : ["putting the mask together and measuring", null];
  }
  return [scan.message || (scan.state === "done" ? "" : scan.state), undefined];
}

function show() {
  const focused = document.activeElement?.dataset?.key;
  const items = scans.map(scan => {
    const [text, share] = progress(scan), isDone = scan.state === "done";
    const name = isDone
      ? make("button", { type: "button", "data-key": `open ${scan.key}`, "aria-pressed": String(scan.key === chosen), onclick: () => choose(scan) }, scan.name)
      : make("span", {}, scan.name);
    const bar = share === undefined ? "" : make("progress", share === null ? { "aria-label": text } : { value: share, "aria-label": text });
    const choices = scan.state !== "choosing" ? "" : make("div", { class: "choices", role: "group", "aria-label": `Series of ${scan.name}` },
      ...scan.choices.map(([series, words]) => make("button", { type: "button", onclick: () => goOn(scan, api.start(scan.key, series)) }, words)));
    const accept = scan.state !== "refused" ? "" : make("div", { class: "choices" },
      make("button", { type: "button", "aria-label": `Segment ${scan.name} anyway`, onclick: () => goOn(scan, api.accept(scan.key)) }, "Segment it anyway"));
    const end = OVER.has(scan.state) ? "Remove" : "Cancel";
    const away = make("button", { type: "button", "data-key": `end ${scan.key}`, "aria-label": `${end} ${scan.name}`, onclick: () => remove(scan) }, end);
    const details = scan.details ? make("span", { class: "details" }, scan.details) : "";
    return make("li", { class: scan.state }, make("span", { class: "name" }, name), details, make("span", { class: "state" }, text), bar, choices, accept, away);
  });
  byId("list").replaceChildren(...items);
  if (focused) byId("list").querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function say(text) {
  byId("problem").textContent = text;
}
