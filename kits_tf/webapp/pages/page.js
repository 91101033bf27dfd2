// The page: a list of scans, the one that is open, and what was measured in it.
import * as api from "./api.js";
import { byId, make } from "./dom.js";
import { hideFindings, markStale, showFindings } from "./findings.js";
import { refresh, startList, tryExample } from "./scans.js";
import { close, goTo, isPainted, mayLeave, open, setLarge, startViewer } from "./viewer.js";

let current = null;

async function choose(scan) {
  current = scan;
  byId("problem").textContent = "";
  try {
    const findings = await api.findings(scan.key);
    if (current !== scan) return;
    setOpen(true);
    showFindings(scan, findings, goTo);
    await open(scan, findings);
  } catch (error) {
    byId("problem").textContent = error.message;
  }
}

function corrected(findings) {
  showFindings(current, findings, goTo);
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
  byId("knows").hidden = !notices.length;
  byId("knows").querySelector("ul").replaceChildren(...notices.map(text => make("li", {}, text)));
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
