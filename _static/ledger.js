// The ledger with a pointer or a keyboard: lines from a claim's dot to those it rests on, and filters for the table.
// Without script the page is the same table and the same dots.
document.addEventListener("DOMContentLoaded", () => {
  const map = document.querySelector(".afp-map");
  if (map) {
    const ns = "http://www.w3.org/2000/svg";
    const lines = map.appendChild(document.createElementNS(ns, "svg"));
    lines.setAttribute("aria-hidden", "true");
    const centre = (dot) => {
      const box = dot.getBoundingClientRect(), frame = map.getBoundingClientRect();
      return [box.left + box.width / 2 - frame.left, box.top + box.height / 2 - frame.top];
    };
    const clear = () => {
      lines.replaceChildren();
      map.querySelectorAll(".afp-support").forEach((dot) => dot.classList.remove("afp-support"));
    };
    const draw = (dot) => {
      clear();
      for (const id of dot.dataset.rests.split(" ").filter(Boolean)) {
        const support = document.getElementById(`dot-${id}`);
        support.classList.add("afp-support");
        const line = lines.appendChild(document.createElementNS(ns, "line"));
        [["x1", "y1"], ["x2", "y2"]].forEach((names, end) =>
          centre(end ? support : dot).forEach((value, axis) => line.setAttribute(names[axis], value)));
      }
    };
    map.querySelectorAll(".afp-dot").forEach((dot) => {
      for (const event of ["mouseenter", "focus"]) dot.addEventListener(event, () => draw(dot));
      for (const event of ["mouseleave", "blur"]) dot.addEventListener(event, clear);
    });
  }

  const table = document.querySelector(".afp-ledger");
  if (table) {
    const rows = [...table.querySelectorAll("tr[data-chapter]")];
    const bar = document.createElement("form");
    bar.className = "afp-filter";
    const count = document.createElement("output");
    const chosen = {};
    const values = (row, name) => row.dataset[name].split("|");
    const show = () => {
      for (const row of rows)
        row.hidden = Object.entries(chosen).some(([name, value]) => value && !values(row, name).includes(value));
      for (const part of table.querySelectorAll("tr[data-part]"))
        part.hidden = !rows.some((row) => !row.hidden && row.dataset.chapter === part.dataset.part);
      const left = rows.filter((row) => !row.hidden).length;
      count.value = `${left} of ${rows.length} claims`;
    };
    for (const name of ["chapter", "kind", "verdict", "source"]) {
      const label = bar.appendChild(document.createElement("label"));
      label.append(name);
      const select = label.appendChild(document.createElement("select"));
      select.name = name;
      select.append(new Option("all", ""));
      for (const value of new Set(rows.flatMap((row) => values(row, name)))) select.append(new Option(value, value));
      select.addEventListener("change", () => { chosen[name] = select.value; show(); });
    }
    bar.append(count);
    bar.addEventListener("submit", (event) => event.preventDefault());
    table.parentElement.before(bar);
    show();
  }
});
