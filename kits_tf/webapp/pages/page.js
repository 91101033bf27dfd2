// The page: a list of scans, the one that is open, and what was measured in it.
import * as api from "./api.js";
import { byId, make } from "./dom.js";
import { hideFindings, markStale, showFindings } from "./findings.js";
import { refresh, startList, tryExample } from "./scans.js";
import { close, goTo, isPainted, mayLeave, measureStrokes, open, setLarge, startViewer } from "./viewer.js";

let current = null;

async function choose(scan) {
  current = scan;
  try {
    const findings = await api.findings(scan.key);
    if (current !== scan) return;
    setOpen(true);
    byId("view").hidden = false;
    byId("view").scrollIntoView({ block: "nearest" });
    showFindings(scan, findings, { goTo, measureStrokes });
    await open(scan, findings);
  } catch (error) {
    if (current === scan) byId("problem").textContent = error.message;
  }
}

function corrected(key, findings) {
  if (current?.key === key) showFindings(current, findings, { goTo, measureStrokes });
  refresh();
}

function removed() {
  current = null;
  close();
  hideFindings();
  setOpen(false);
}

function setOpen(isOpen) {
  byId("welcome").hidden = isOpen;
  byId("panel").hidden = !isOpen;
}

async function showAbout() {
  const { model, notices, example } = await api.about();
  byId("model").textContent = `Network: ${model.split(" ")[0]}`;
  byId("model").title = model;
  byId("notices").replaceChildren(...notices.map(text => make("li", {}, text)));
  byId("example").hidden = !example;
  byId("example").querySelector("button").addEventListener("click", tryExample);
}

function enlarge() {
  const isLarge = document.querySelector("main").classList.toggle("large");
  byId("enlarge").textContent = isLarge ? "Back to the tools" : "Enlarge";
  setLarge(isLarge);
}

byId("enlarge").addEventListener("click", enlarge);
startViewer({ corrected, painted: markStale, enlarge });
startList({ choose, removed, mayLeave, isPainted });
showAbout().catch(error => { byId("problem").textContent = error.message; });
