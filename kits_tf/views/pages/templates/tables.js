// Tables to sort by a click on a heading, and to filter by the form that names them: <form data-table="ID">.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const valueOf = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
  const compare = (a, b) => {
    if (a === "" || b === "") return (a === "") - (b === "");  // what has no value comes last, whichever way
    const numbers = [Number(a), Number(b)];
    return numbers.some(Number.isNaN) ? a.localeCompare(b, "en", { numeric: true }) : Math.sign(numbers[0] - numbers[1]);
  };
  for (const button of table.querySelectorAll("th button")) {
    button.addEventListener("click", () => {
      const head = button.closest("th"), column = head.cellIndex;
      const way = head.ariaSort === "ascending" ? "descending" : "ascending";
      for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
      head.ariaSort = way;
      const sign = way === "ascending" ? 1 : -1;
      const rows = [...body.rows].map(row => [valueOf(row, column), row]);
      rows.sort(([a], [b]) => (a === "" || b === "" ? 1 : sign) * compare(a, b));
      body.append(...rows.map(([, row]) => row));
    });
  }
}

for (const form of document.querySelectorAll("form.filter")) {
  const rows = [...document.getElementById(form.dataset.table).tBodies[0].rows];
  const text = form.querySelector("input[type=search]"), most = [...form.querySelectorAll("input[type=number]")];
  const boxes = [...form.querySelectorAll("input[type=checkbox]")];
  const filter = () => {
    const words = text.value.toLowerCase(), kinds = boxes.filter(box => box.checked).map(box => box.value);
    for (const row of rows) {
      const below = most.every(input => input.value === "" ||
        Number(row.querySelector(`[data-name="${input.name}"]`).dataset.value) <= Number(input.value));
      row.hidden = !(below && row.textContent.toLowerCase().includes(words) &&
        (!kinds.length || kinds.some(kind => row.classList.contains(kind))));
    }
    form.querySelector("output").textContent = `${rows.filter(row => !row.hidden).length} of ${rows.length} cases`;
  };
  form.addEventListener("input", filter);
  form.addEventListener("submit", event => event.preventDefault());
  filter();
}
