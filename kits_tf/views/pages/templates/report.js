// Figures of cases: in the examples, and in a dialog that opens for the case in the address, as in #case_00012.
const figures = JSON.parse(document.getElementById("figures").textContent);
const sourceOf = figure => `data:image/webp;base64,${figure}`;
const caseRow = caseId => document.querySelector(`#case-table tr[data-case="${CSS.escape(caseId)}"]`);

for (const image of document.querySelectorAll("img[data-case]")) {
  const own = figures.cases[image.dataset.case] ?? [];
  if (own.length) image.src = sourceOf(own[0]);
}

for (const point of document.querySelectorAll("#charts a")) {
  const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
  title.textContent = point.href.baseVal.slice(1);
  point.append(title);
}

const dialog = document.getElementById("case-dialog");

function showCase(caseId) {
  const row = caseRow(caseId), heads = document.querySelectorAll("#case-table thead th");
  document.getElementById("case-heading").textContent = caseId;
  const shown = (figures.cases[caseId] ?? []).map((figure, i) => {
    const element = document.createElement("figure"), image = new Image(), caption = document.createElement("figcaption");
    image.src = sourceOf(figure);
    image.alt = `planes and surfaces of ${caseId}`;
    caption.textContent = figures.names.length > 1 ? figures.names[i] : "";
    element.append(caption, image);
    return element;
  });
  if (!shown.length) shown.push(row.querySelector("img").cloneNode());
  dialog.querySelector(".figures").replaceChildren(...shown);
  dialog.querySelector("dl").replaceChildren(...[...row.cells].slice(1).map((cell, i) => {
    const pair = document.createElement("div"), term = document.createElement("dt"), value = document.createElement("dd");
    term.textContent = heads[i + 1].textContent;
    value.append(...[...cell.childNodes].map(node => node.cloneNode(true)));
    pair.append(term, value);
    return pair;
  }));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

function step(by) {
  const rows = [...document.querySelectorAll("#case-table tbody tr:not([hidden])")];
  const at = rows.indexOf(caseRow(document.getElementById("case-heading").textContent));
  const next = rows[(at + by + rows.length) % rows.length];
  if (next) location.hash = next.dataset.case;
}

function addressedCase() {
  return decodeURIComponent(location.hash.slice(1));
}

function followAddress() {
  const caseId = addressedCase();
  if (caseId && caseRow(caseId)) showCase(caseId);
}

dialog.querySelector("[name=previous]").addEventListener("click", () => step(-1));
dialog.querySelector("[name=next]").addEventListener("click", () => step(1));
dialog.addEventListener("keydown", event => {
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
// The event comes later than the closing: by then the address may name another case, which may be open already.
dialog.addEventListener("close", () => {
  const closed = document.getElementById("case-heading").textContent;
  // Only the fragment may change in the address of a file.
  if (!dialog.open && addressedCase() === closed) history.replaceState(null, "", "#");
});
addEventListener("hashchange", followAddress);
followAddress();
