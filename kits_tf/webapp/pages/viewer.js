// The scan with its mask over it, and the pen that corrects the mask.
import * as api from "./api.js";
import { find, make, swatch } from "./dom.js";

const look = find("look"), pen = find("pen");
// Of the view of a slice: [left to right, bottom to top, through] as axes of world coordinates R, A, S.
const KEYS = {
  ArrowLeft: [1, 0, 0], ArrowRight: [-1, 0, 0], ArrowUp: [0, 1, 0], ArrowDown: [0, -1, 0], PageUp: [0, 0, 1], PageDown: [0, 0, -1],
};
let niivue = null, shown = null, classes = [], colorMap = null, editing = false, requested = null, opening = Promise.resolve(), onCorrected = () => {};

export function startViewer({ corrected }) {
  onCorrected = corrected;
  look.addEventListener("input", adjust);
  look.addEventListener("submit", event => event.preventDefault());
  pen.addEventListener("submit", event => event.preventDefault());
  pen.elements.edit.addEventListener("click", edit);
  pen.elements.undo.addEventListener("click", undo);
  pen.elements.apply.addEventListener("click", apply);
  pen.elements.discard.addEventListener("click", () => stopEditing("Discarded."));
  for (const name of ["label", "size", "filled"]) pen.elements[name].addEventListener("input", takePen);
  find("canvas").addEventListener("keydown", move);
  addEventListener("beforeunload", event => { if (isPainted()) event.preventDefault(); });
}

// NiiVue keeps the mask after each stroke, at index 0 as it was; before that index it would go round to the newest one.
const isPainted = () => editing && niivue.currentDrawUndoBitmap > 0;

// Whether another scan may be shown: the user is asked where strokes would be lost.
export const mayLeave = () => !isPainted() || confirm("Give up what you have changed of this mask?");

async function begin() {
  if (niivue) return;
  if (!document.createElement("canvas").getContext("webgl2")) {
    throw new Error("This browser has no WebGL 2, so the scan cannot be shown; measurements and downloads are there.");
  }
  const { Niivue, OPTIONS } = await import("/files/niivue.js");
  niivue = new Niivue({ ...OPTIONS, maxDrawUndoBitmaps: 1000 });
  niivue.onLocationChange = showPlace;
  await niivue.attachToCanvas(find("canvas"));
}

// One after the other: of two at a time, parts of both would be shown.
export function open(scan, findings) {
  requested = scan.key;
  opening = opening.catch(() => {}).then(() => load(scan, findings));
  return opening;
}

async function load(scan, findings) {
  if (requested !== scan.key) return;
  say("loading");
  find("view").hidden = false;
  find("view-heading").textContent = scan.name;
  await begin();
  closePen();
  for (const volume of [...niivue.volumes]) niivue.removeVolume(volume);
  await niivue.loadFromArrayBuffer(await api.bytes(scan.key, "scan.nii.gz"), "scan.nii.gz");
  shown = scan.key;
  await takeFindings(findings);
  if (findings.start_mm) goTo(findings.start_mm);
  say("");
}

export function close() {
  if (niivue) closePen();
  shown = requested = null;
  find("view").hidden = true;
}

export function goTo(place_mm) {
  if (!niivue) return;
  niivue.scene.crosshairPos = niivue.mm2frac(place_mm);
  niivue.createOnLocationChange();
  niivue.drawScene();
}

async function takeFindings(findings) {
  classes = findings.classes;
  colorMap = findings.color_map;
  find("structures").replaceChildren(make("legend", {}, "Structures"), ...classes.map(each => make("label", {},
    make("input", { type: "checkbox", name: `structure${each.label}`, checked: true }), swatch(each.color), each.name)));
  pen.elements.label.replaceChildren(...classes.map(each => make("option", { value: each.label }, each.name)), make("option", { value: 0 }, "erase"));
  if (niivue.volumes.length > 1) niivue.removeVolume(niivue.volumes[1]);
  await niivue.loadFromArrayBuffer(await api.bytes(shown, "mask.nii.gz"), "mask.nii.gz");
  adjust();
}

// The mask's color map, without the structures that are switched off.
function colors() {
  const isShown = label => label > 0 && look.elements[`structure${label}`].checked;
  return { ...colorMap, A: colorMap.I.map(label => isShown(label) ? 255 : 0) };
}

function adjust() {
  if (!niivue?.volumes.length) return;
  const [low, high] = look.elements.window.value.split(",").map(Number);
  Object.assign(niivue.volumes[0], { cal_min: low, cal_max: high });
  niivue.setSliceType(niivue[`sliceType${look.elements.view.value}`]);
  const opacity = Number(look.elements.opacity.value);
  if (niivue.volumes[1]) {
    niivue.volumes[1].setColormapLabel(colors());
    niivue.setOpacity(1, editing ? 0 : opacity);
  }
  if (editing) {
    niivue.setDrawColormap(colors());
    niivue.setDrawOpacity(opacity);
  }
  niivue.updateGLVolume();
}

function showPlace({ mm, values }) {
  const [r, a, s] = mm, sides = [r < 0 ? "L" : "R", a < 0 ? "P" : "A", s < 0 ? "I" : "S"];
  const place = [r, a, s].map((value, i) => `${sides[i]} ${Math.abs(value).toFixed(0)}`).join("  ");
  const label = Math.round(values[1]?.value ?? 0), name = classes.find(each => each.label === label)?.name;
  find("place").textContent = `${place} mm   ${Math.round(values[0].value)} HU${name ? `   ${name}` : ""}`;
}

function move(event) {
  const step = KEYS[event.key];
  if (!step || !niivue?.volumes.length) return;
  event.preventDefault();
  event.stopPropagation();
  niivue.moveCrosshairInVox(...step);
}

function edit() {
  niivue.loadDrawing(niivue.volumes[1]);
  niivue.setDrawingEnabled(true);
  editing = true;
  pen.elements.edit.hidden = true;
  pen.querySelector(".editing").hidden = false;
  takePen();
  adjust();
  say("Paint on the slices; the right mouse button still moves through them.");
  pen.elements.label.focus();
}

function undo() {
  if (isPainted()) niivue.drawUndo();
  else say("There is nothing to undo.");
}

function takePen() {
  niivue.opts.penSize = Number(pen.elements.size.value);
  niivue.setPenValue(Number(pen.elements.label.value), pen.elements.filled.checked);
}

async function apply() {
  say("measuring");
  try {
    const mask = await niivue.saveImage({ filename: "", isSaveDrawing: true });
    const findings = await api.correct(shown, mask);
    closePen();
    await takeFindings(findings);
    onCorrected(findings);
    say("Measured.");
  } catch (error) {
    say(error.message);
  }
}

function stopEditing(text) {
  closePen();
  adjust();
  say(text);
  pen.elements.edit.focus();
}

function closePen() {
  if (editing) {
    niivue.setDrawingEnabled(false);
    niivue.closeDrawing();
  }
  editing = false;
  pen.elements.edit.hidden = false;
  pen.querySelector(".editing").hidden = true;
}

function say(text) {
  pen.elements.said.textContent = text;
}
