// Measurements in tables, notes on them in words, and files to download.
import { address } from "./api.js";
import { find, make, swatch } from "./dom.js";

export function showFindings(scan, findings, goTo) {
  const { shown } = findings;  // [field, words, digits]
  find("findings").hidden = false;
  find("corrected").hidden = !findings.is_corrected;
  find("warnings").replaceChildren(...findings.warnings.map(text => make("p", {}, make("strong", {}, "Do not trust these numbers. "), text)));
  const colors = Object.fromEntries(findings.classes.map(each => [each.name, each.color]));
  table("kidneys", ["", ...findings.kidneys.map(kidney => head(colors[`${kidney.side} kidney`], kidney.side))],
    shown.kidney.map(([name, text, digits]) => [make("th", { scope: "row" }, text), ...findings.kidneys.map(kidney => number(kidney[name], digits))]));
  find("asymmetry").textContent = findings.asymmetry === null ? "" :
    `The right kidney is ${Math.abs(100 * findings.asymmetry).toFixed(0)} % ${findings.asymmetry < 0 ? "smaller" : "larger"} than the left one, of their mean.`;
  if (findings.lesions.length) {
    table("lesions", ["", "side", ...shown.lesion.map(([, text]) => text)], findings.lesions.map((lesion, i) => {
      const name = `${lesion.kind} ${i + 1}`;
      const go = make("button", { type: "button", "aria-label": `Show ${name} in the scan`, onclick: () => goTo(lesion.place_mm) }, swatch(colors[lesion.kind]), name);
      return [make("th", { scope: "row" }, go), make("td", {}, lesion.side || "unknown"), ...shown.lesion.map(([key, , digits]) => number(lesion[key], digits))];
    }));
  } else {
    table("lesions", [], [[make("td", {}, "None was found. That does not mean that there is none.")]]);
  }
  const notes = [
    ...findings.kidneys.flatMap(kidney => kidney.notes.map(note => `${kidney.side} kidney: ${note}`)),
    ...findings.lesions.flatMap((lesion, i) => lesion.notes.map(note => `${lesion.kind} ${i + 1}: ${note}`)),
  ];
  find("notes").replaceChildren(...notes.map(note => make("li", {}, note)));
  table("confidence", ["structure", "mean probability"], Object.entries(findings.confidence).map(([name, share]) =>
    [make("th", { scope: "row" }, name.replace("_", " ")), number(share || null, 2)]));
  const files = [["mask.nii.gz", "mask, NIfTI"], ...(scan.is_series ? [["mask.dcm", "mask, DICOM SEG"]] : []),
    ["measurements.zip", "measurements, CSV"], ["measurements.pdf", "measurements and pictures, PDF"]];
  find("downloads").replaceChildren(...files.map(([name, text]) => make("li", {}, make("a", { href: address(scan.key, name), download: true }, text))));
}

export function hideFindings() {
  find("findings").hidden = true;
}

const head = (color, text) => make("span", {}, swatch(color), text);

function number(value, digits) {
  return make("td", { class: "number" }, value === null || value === undefined ? "–" : value.toFixed(digits));
}

function table(id, heads, rows) {
  const row = cells => make("tr", {}, ...cells);
  find(id).replaceChildren(make("thead", {}, row(heads.map(text => make("th", { scope: "col" }, text)))), make("tbody", {}, ...rows.map(row)));
}
