// The page: a list of scans, the one that is looked at, and what was measured in it.
import * as api from "./api.js";
import { find } from "./dom.js";
import { hideFindings, showFindings } from "./findings.js";
import { startList } from "./scans.js";
import { close, goTo, mayLeave, open, startViewer } from "./viewer.js";

let current = null;

async function choose(scan) {
  current = scan;
  find("problem").textContent = "";
  try {
    const findings = await api.findings(scan.key);
    if (current !== scan) return;
    showFindings(scan, findings, goTo);
    await open(scan, findings);
  } catch (error) {
    find("problem").textContent = error.message;
  }
}

function removed() {
  current = null;
  close();
  hideFindings();
}

startViewer({ corrected: findings => showFindings(current, findings, goTo) });
startList({ choose, removed, mayLeave });
