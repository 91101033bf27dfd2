// The scan with its mask over it, and the pen that corrects the mask.
import * as api from "./api.js";
import { byId, make, swatch } from "./dom.js";

const look = byId("look"), pen = byId("pen"), canvas = byId("canvas");
// Of the view of a slice: [left to right, bottom to top, through] as axes of world coordinates R, A, S.
const STEPS = {
  ArrowLeft: [1, 0, 0], ArrowRight: [-1, 0, 0], ArrowUp: [0, 1, 0], ArrowDown: [0, -1, 0], PageUp: [0, 0, 1], PageDown: [0, 0, -1],
};
let niivue = null, opening = Promise.resolve();
// Key of the scan that is to be shown, and of the one that is.
let requested = null, shown = null;
// The mask that can be corrected, and the one that came beside the scan: {volume, classes, colorMap}; null if there is none.
let masks = { model: null, reference: null };
let editing = false, wasPainted = false, viewBefore = null;
// The correction that is being measured; null if none is.
let measuring = null;
let onCorrected = () => {}, onPainted = () => {}, onEnlarge = () => {};

export function startViewer({ corrected, painted, enlarge }) {
  [onCorrected, onPainted, onEnlarge] = [corrected, painted, enlarge];
  look.addEventListener("input", ({ target }) => {
    if (target.name === "mask") listStructures();
    if (target.name === "view") takeView();
    else adjust();
  });
  look.addEventListener("submit", event => event.preventDefault());
  pen.addEventListener("submit", event => event.preventDefault());
  pen.elements.edit.addEventListener("click", edit);
  pen.elements.undo.addEventListener("click", undo);
  pen.elements.apply.addEventListener("click", apply);
  pen.elements.discard.addEventListener("click", discard);
  for (const name of ["label", "size", "filled"]) pen.elements[name].addEventListener("input", takePen);
  canvas.addEventListener("keydown", pressed);
  addEventListener("keydown", event => {
    if (editing && !measuring && (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") { event.preventDefault(); undo(); }
  });
  // NiiVue's own listeners, which end the stroke, come first.
  for (const name of ["mouseup", "touchend"]) addEventListener(name, () => setTimeout(afterStroke));
  addEventListener("beforeunload", event => { if (isPainted()) event.preventDefault(); });
}

// NiiVue keeps the mask after each stroke, at index 0 as it was; before that index it would go round to the newest one.
export const isPainted = () => editing && niivue.currentDrawUndoBitmap > 0;

// Whether the strokes, if there are any, may be lost: the user is asked.
export const mayLeave = () => !isPainted() || confirm("Give up what you have changed of this mask?");

async function begin() {
  if (niivue) return;
  if (!document.createElement("canvas").getContext("webgl2")) {
    throw new Error("This browser has no WebGL 2, so the scan cannot be shown; measurements and downloads are there.");
  }
  const { Niivue, OPTIONS } = await import("/files/niivue.js");
  niivue = new Niivue({ ...OPTIONS, maxDrawUndoBitmaps: 1000 });
  niivue.onLocationChange = showPlace;
  await niivue.attachToCanvas(canvas);
}

// One after the other: of two at a time, parts of both would be shown.
export function open(scan, findings) {
  requested = scan.key;
  opening = opening.catch(() => {}).then(() => load(scan, findings)).catch(error => {
    say("");
    throw error;
  });
  return opening;
}

async function load(scan, findings) {
  if (requested !== scan.key) return;
  say("loading");
  byId("view").hidden = byId("tools").hidden = false;
  byId("view-heading").textContent = scan.name;
  byId("place").textContent = "";
  byId("structures").replaceChildren();
  pen.elements.edit.disabled = true;
  await begin();
  closePen();
  for (const volume of [...niivue.volumes]) niivue.removeVolume(volume);
  masks = { model: null, reference: null };
  look.elements.mask.value = "model";
  byId("which").hidden = true;
  await addVolume(scan.key, "scan.nii.gz");
  shown = scan.key;
  await takeFindings(findings);
  await takeReference(findings.reference);
  if (findings.start_mm) goTo(findings.start_mm);
  else niivue.createOnLocationChange();  // or the line below would be empty
  pen.elements.edit.disabled = false;
  say(findings.reference?.problem ? `The mask beside the scan cannot be shown: ${findings.reference.problem}` : "");
}

export function close() {
  if (niivue) closePen();
  shown = requested = null;
  byId("view").hidden = byId("tools").hidden = true;
}

// Three planes would each stay as small in a larger viewer: it shows the axial one, and all again when it is small.
export function setLarge(isLarge) {
  const { view } = look.elements;
  if (isLarge && view.value === "Multiplanar") [viewBefore, view.value] = [view.value, "Axial"];
  else if (!isLarge && viewBefore) [viewBefore, view.value] = [null, viewBefore];
  takeView();
}

export function goTo(place_mm) {
  if (!niivue) return;
  niivue.scene.crosshairPos = niivue.mm2frac(place_mm);
  niivue.createOnLocationChange();
  niivue.drawScene();
}

async function addVolume(key, name) {
  await niivue.loadFromArrayBuffer(await api.bytes(key, name), name);
  return niivue.volumes.at(-1);
}

async function takeFindings(findings) {
  if (masks.model) niivue.removeVolume(masks.model.volume);
  masks.model = { volume: await addVolume(shown, "mask.nii.gz"), classes: findings.classes, colorMap: findings.color_map };
  pen.elements.label.replaceChildren(...findings.classes.map(each => make("option", { value: each.label }, each.name)), make("option", { value: 0 }, "erase"));
  look.elements.mask.value = "model";
  listStructures();
  adjust();
}

async function takeReference(reference) {
  if (!reference?.classes) return;
  masks.reference = { volume: await addVolume(shown, "reference.nii.gz"), classes: reference.classes, colorMap: reference.color_map };
  byId("which").hidden = false;
  adjust();
}

const current = () => masks[look.elements.mask.value];

function listStructures() {
  byId("structures").replaceChildren(make("legend", {}, "Structures"), ...current().classes.map(each => make("label", { class: "inline" },
    make("input", { type: "checkbox", name: `structure${each.label}`, checked: true }), swatch(each.color), each.name)));
}

// The color map of the mask that is shown, without the structures that are switched off.
function colors() {
  const isShown = label => label > 0 && look.elements[`structure${label}`].checked;
  return { ...current().colorMap, A: current().colorMap.I.map(label => isShown(label) ? 255 : 0) };
}

function takeView() {
  if (niivue?.volumes.length) niivue.setSliceType(niivue[`sliceType${look.elements.view.value}`]);
}

// NiiVue computes all layers anew in updateGLVolume, which takes seconds for a large scan without a GPU: once is enough.
function adjust() {
  if (!niivue?.volumes.length) return;
  const [low, high] = look.elements.window.value.split(",").map(Number);
  Object.assign(niivue.volumes[0], { cal_min: low, cal_max: high });
  niivue.opts.sliceType = niivue[`sliceType${look.elements.view.value}`];
  const opacity = Number(look.elements.opacity.value);
  for (const mask of [masks.model, masks.reference]) {
    if (!mask) continue;
    if (mask === current()) mask.volume.setColormapLabel(colors());
    mask.volume.opacity = mask === current() && !editing ? opacity : 0;
  }
  niivue.drawOpacity = opacity;
  if (editing) niivue.setDrawColormap(colors());  // which draws all
  else niivue.updateGLVolume();
}

// The label at a voxel: while the mask is being corrected, that of the strokes.
function labelAt([x, y, z], values) {
  if (!editing) return Math.round(values[niivue.volumes.indexOf(current()?.volume)]?.value ?? 0);
  const [, columns, rows] = niivue.volumes[0].dimsRAS;
  return niivue.drawBitmap[Math.round(x) + columns * (Math.round(y) + rows * Math.round(z))];
}

function showPlace({ mm, vox, values }) {
  const [r, a, s] = mm, sides = [r < 0 ? "L" : "R", a < 0 ? "P" : "A", s < 0 ? "I" : "S"];
  const place = [r, a, s].map((value, i) => `${sides[i]} ${Math.abs(value).toFixed(0)}`).join("  ");
  const label = labelAt(vox, values), name = current()?.classes.find(each => each.label === label)?.name;
  const slice = `axial slice ${Math.round(vox[2]) + 1} of ${niivue.volumes[0].dimsRAS[3]}`;
  byId("place").textContent = `${place} mm   ${slice}   ${Math.round(values[0].value)} HU${name ? `   ${name}` : ""}`;
}

// Keys of the viewer, while it has the focus.
function pressed(event) {
  if (!niivue?.volumes.length || event.ctrlKey || event.metaKey || event.altKey) return;
  const step = STEPS[event.key];
  if (step) niivue.moveCrosshairInVox(...step);
  else if (event.key === "f" || event.key === "F") onEnlarge();
  else if (!editing && !pen.elements.edit.disabled && (event.key === "e" || event.key === "E")) edit();
  else if (editing && /^[0-9]$/.test(event.key)) select("label", event.key);
  else if (editing && (event.key === "[" || event.key === "]")) resizePen(event.key === "]" ? 1 : -1);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

function select(name, value) {
  if (![...pen.elements[name].options].some(option => option.value === value)) return;
  pen.elements[name].value = value;
  takePen();
}

function resizePen(step) {
  const option = pen.elements.size.options[pen.elements.size.selectedIndex + step];
  if (option) select("size", option.value);
}

function edit() {
  look.elements.mask.value = "model";
  look.elements.mask.disabled = true;
  listStructures();
  niivue.loadDrawing(masks.model.volume);
  niivue.setDrawingEnabled(true);
  editing = true;
  pen.elements.edit.hidden = true;
  pen.querySelector(".editing").hidden = false;
  takePen();
  adjust();
  say("Paint on the slices; the right mouse button still moves through them.");
  if (document.activeElement !== canvas) pen.elements.label.focus();
}

function afterStroke() {
  if (!editing) return;
  niivue.createOnLocationChange();
  if (wasPainted !== isPainted()) {
    wasPainted = isPainted();
    onPainted(wasPainted);
  }
}

function undo() {
  if (isPainted()) niivue.drawUndo();
  else say("There is nothing to undo.");
  afterStroke();
}

function takePen() {
  niivue.opts.penSize = Number(pen.elements.size.value);
  niivue.setPenValue(Number(pen.elements.label.value), pen.elements.filled.checked);
}

function apply() {
  measureStrokes().catch(() => {});  // the pen has said it
}

// Measures the mask with its strokes, during which there can be no others.
export function measureStrokes() {
  measuring ??= correct(shown).finally(() => {
    measuring = null;
    pen.querySelector(".editing").inert = false;
  });
  return measuring;
}

async function correct(key) {
  say("measuring");
  pen.querySelector(".editing").inert = true;
  niivue.setDrawingEnabled(false);
  try {
    const findings = await api.correct(key, await niivue.saveImage({ filename: "", isSaveDrawing: true }));
    if (requested === key) {
      closePen();
      await takeFindings(findings);
      say("Measured.");
    }
    onCorrected(key, findings);
  } catch (error) {
    if (requested === key) {
      niivue.setDrawingEnabled(true);
      say(error.message);
    }
    throw error;
  }
}

function discard() {
  if (!mayLeave()) return;
  closePen();
  adjust();
  say("Discarded.");
  pen.elements.edit.focus();
}

function closePen() {
  if (editing) {
    niivue.setDrawingEnabled(false);
    niivue.closeDrawing();
  }
  if (wasPainted) onPainted(false);
  editing = wasPainted = false;
  look.elements.mask.disabled = false;
  pen.elements.edit.hidden = false;
  pen.querySelector(".editing").hidden = true;
}

function say(text) {
  pen.elements.said.textContent = text;
}
