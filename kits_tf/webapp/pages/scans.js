// The list of scans: dropped or chosen, sent, and watched until their masks are there.
import * as api from "./api.js";
import { find, make } from "./dom.js";

const POLL_MS = 700, AT_ONCE = 4;
const KNOWN = /\.(nii|nii\.gz|zip)$/i;
const OVER = new Set(["done", "failed", "refused", "cancelled"]), STILL = new Set([...OVER, "choosing"]);

// key -> {sent, total, controller} of what this page is sending
const uploads = new Map();
let scans = [], chosen = null, onChosen = () => {}, onRemoved = () => {}, mayChange = () => true, timer = null;

export function startList({ choose, removed, mayLeave }) {
  [onChosen, onRemoved, mayChange] = [choose, removed, mayLeave];
  const drop = document.body;
  drop.addEventListener("dragover", event => { event.preventDefault(); find("drop").classList.add("over"); });
  drop.addEventListener("dragleave", event => { if (!event.relatedTarget) find("drop").classList.remove("over"); });
  drop.addEventListener("drop", async event => {
    event.preventDefault();
    find("drop").classList.remove("over");
    await send(await dropped(event.dataTransfer));
  });
  for (const id of ["file", "folder"]) {
    find(id).addEventListener("change", async event => {
      const files = [...event.target.files].map(file => ({ file, folder: file.webkitRelativePath.split("/")[0] }));
      event.target.value = "";
      await send(files);
    });
  }
  refresh();
}

// What was dropped, as [{file, folder}]; of a folder also the files of the folders within it.
async function dropped(transfer) {
  const entries = [...transfer.items].map(item => item.webkitGetAsEntry()).filter(Boolean);
  const files = [];
  async function walk(entry, folder) {
    if (entry.isFile) {
      files.push({ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), folder });
      return;
    }
    const reader = entry.createReader();
    for (;;) {  // a reader gives a hundred at a time
      const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!part.length) return;
      for (const inner of part) await walk(inner, folder || entry.name);
    }
  }
  for (const entry of entries) await walk(entry, "");
  return files;
}

// A NIfTI or zip file is a scan by itself; other files of a folder are the slices of one.
function scansOf(files) {
  const result = [], slices = new Map();
  for (const { file, folder } of files) {
    if (file.name.startsWith(".")) continue;
    if (KNOWN.test(file.name)) result.push({ name: file.name, files: [file] });
    else slices.set(folder, [...(slices.get(folder) ?? []), file]);
  }
  for (const [folder, parts] of slices) result.push({ name: folder || parts[0].name, files: parts });
  return result;
}

async function send(files) {
  say("");
  for (const scan of scansOf(files)) {
    try {
      await sendScan(scan);
    } catch (error) {
      say(`${scan.name}: ${error.message}`);
    }
  }
}

async function sendScan({ name, files }) {
  const { key } = await api.add(name);
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

async function refresh() {
  clearTimeout(timer);
  try {
    const before = new Map(scans.map(scan => [scan.key, scan.state]));
    scans = await api.scans();
    const done = scans.filter(scan => scan.state === "done" && before.has(scan.key) && before.get(scan.key) !== "done");
    if (done.length && !chosen) choose(done[0]);
  } catch (error) {
    say(error.message);
  }
  show();
  if (scans.some(scan => !STILL.has(scan.state))) timer = setTimeout(refresh, POLL_MS);
}

function choose(scan) {
  if (!mayChange()) return;
  chosen = scan.key;
  show();
  onChosen(scan);
}

async function goOn(scan, request) {
  await request.catch(error => say(error.message));
  await refresh();
  find("list").querySelector(`[data-key="end ${CSS.escape(scan.key)}"]`)?.focus();
}

async function remove(scan) {
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
  find("file").focus();
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
  return [scan.message || scan.state, undefined];
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
      make("button", { type: "button", "aria-label": `Segment ${scan.name} all the same`, onclick: () => goOn(scan, api.accept(scan.key)) }, "Segment it all the same"));
    const end = OVER.has(scan.state) ? "Remove" : "Cancel";
    const away = make("button", { type: "button", "data-key": `end ${scan.key}`, "aria-label": `${end} ${scan.name}`, onclick: () => remove(scan) }, end);
    return make("li", { class: scan.state }, make("span", { class: "name" }, name), make("span", { class: "state" }, text), bar, choices, accept, away);
  });
  find("list").replaceChildren(...items);
  if (focused) find("list").querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function say(text) {
  find("problem").textContent = text;
}
