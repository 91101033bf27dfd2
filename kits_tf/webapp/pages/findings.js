// Measurements in tables, notes on them in words, and files to download.
import * as api from "./api.js";
import { byId, make, swatch } from "./dom.js";

export function showFindings(scan, findings, { goTo, measureStrokes }) {
  const { shown } = findings;  // [field, words, digits]
  byId("findings").hidden = false;
  byId("refused").textContent = "";
  markStale(false);
  byId("corrected").hidden = !findings.is_corrected;
  byId("warnings").replaceChildren(...findings.warnings.map(text => make("p", {}, make("strong", {}, "Do not trust these numbers. "), text)));
  const colors = Object.fromEntries(findings.classes.map(each => [each.name, each.color]));
  table("kidneys", ["", ...findings.kidneys.map(kidney => head(colors[`${kidney.side} kidney`], kidney.side))],
    shown.kidney.map(([name, text, digits]) => [make("th", { scope: "row" }, text), ...findings.kidneys.map(kidney => number(kidney[name], digits))]));
  byId("asymmetry").textContent = findings.asymmetry === null ? "" :
    `The right kidney is ${Math.abs(100 * findings.asymmetry).toFixed(0)} % ${findings.asymmetry < 0 ? "smaller" : "larger"} than the left one (in relation to their mean).`;
  if (findings.lesions.length) {
    table("lesions", ["", ...shown.lesion.map(([, text]) => text)], findings.lesions.map((lesion, i) => {
      const name = lesionName(lesion, i);
      const go = make("button", { type: "button", "aria-label": `Show ${name} in the scan`, onclick: () => goTo(lesion.place_mm) },
        swatch(colors[lesion.kind]), ...(lesion.side ? [make("span", {}, lesion.side), " "] : []), make("span", {}, `${lesion.kind} ${i + 1}`));
      return [make("th", { scope: "row" }, go), ...shown.lesion.map(([key, , digits]) => number(lesion[key], digits))];
    }));
  } else {
    table("lesions", [], [[make("td", {}, "The mask has no lesion. That does not mean that there is none.")]]);
  }
  const notes = [
    ...findings.kidneys.flatMap(kidney => kidney.notes.map(note => `${kidney.side} kidney: ${note}`)),
    ...findings.lesions.flatMap((lesion, i) => lesion.notes.map(note => `${lesionName(lesion, i)}: ${note}`)),
  ];
  byId("notes").replaceChildren(...notes.map(note => make("li", {}, note)));
  table("confidence", ["structure", "mean probability"], Object.entries(findings.confidence).map(([name, share]) =>
    [make("th", { scope: "row" }, name.replace("_", " ")), number(share || null, 2)]));
  byId("downloads").replaceChildren(...downloads(scan, findings, measureStrokes).map(item => make("li", {}, item)));
}

// The files that a person can have, and why not where one cannot be.
function downloads(scan, findings, measureStrokes) {
  const link = (name, text) => make("a", { href: api.address(scan.key, name), onclick: event => save(event, scan.key, name, measureStrokes) }, text);
  const which = findings.is_corrected ? "corrected mask" : "mask";
  const items = [link("mask.nii.gz", `${which}, NIfTI`)];
  if (scan.segmentation_problem) items.push(`DICOM SEG: cannot be made (${scan.segmentation_problem}). Take the NIfTI file instead.`);
  else if (scan.is_series) items.push(link("mask.dcm", `${which}, DICOM SEG`));
  items.push(link("kidneys.csv", "kidneys, CSV"));
  if (findings.lesions.length) items.push(link("lesions.csv", "lesions, CSV"));
  return [...items, link("measurements.pdf", "measurements and pictures, PDF")];
}

// Files are of the mask as it is on the screen: strokes are measured first.
async function save(event, key, name, measureStrokes) {
  event.preventDefault();
  byId("refused").textContent = "";
  try {
    if (byId("stale").textContent) await measureStrokes();
    await api.download(key, name);
  } catch (error) {
    byId("refused").textContent = `${event.target.textContent}: ${error.message}`;
  }
}

// Says whether the mask was changed since it was measured.
export function markStale(isStale) {
  byId("stale").textContent = isStale ? "You have changed the mask since. These are the numbers from before." : "";
}

export function hideFindings() {
  byId("findings").hidden = true;
}

const lesionName = (lesion, i) => `${lesion.side} ${lesion.kind} ${i + 1}`.trim();
const head = (color, text) => make("span", {}, swatch(color), text);

function number(value, digits) {
  return make("td", { class: "number" }, value === null || value === undefined ? "–" : value.toFixed(digits));
}

function table(id, heads, rows) {
  const row = cells => make("tr", {}, ...cells);
  byId(id).replaceChildren(make("thead", {}, row(heads.map(text => text ? make("th", { scope: "col" }, text) : make("td")))), make("tbody", {}, ...rows.map(row)));
}
