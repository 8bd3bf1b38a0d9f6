// The table of clauses and releases: other rows than those that the page came with.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("filter");
  if (!form) return;
  const body = document.querySelector(".matrix tbody");
  const count = document.getElementById("count");
  const { letters, rows, order } = window.nnspec;
  const place = ([id]) => order.indexOf(id.split(".")[0]);
  const known = rows.filter(([, statement]) => statement).sort((one, other) => place(one) - place(other));
  const letterOf = Object.fromEntries(Object.entries(letters).map(([letter, name]) => [name, letter]));

  const differs = (outcomes) => new Set(outcomes.replace(/[ua.]/g, "")).size > 1;

  const chosen = () => {
    const words = form.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    return known.filter(([id, statement, outcomes]) =>
      (form.all.checked || form.outcome.value === "absent" || differs(outcomes)) &&
      (!form.part.value || id.startsWith(`${form.part.value}.`)) &&
      (!form.outcome.value || outcomes.includes(letterOf[form.outcome.value])) &&
      words.every((word) => `${id} ${statement}`.toLowerCase().includes(word)));
  };

  const rowOf = ([id, statement, outcomes]) => {
    const row = document.createElement("tr");
    const head = row.appendChild(document.createElement("th"));
    head.scope = "row";
    const link = head.appendChild(document.createElement("a"));
    link.href = `spec/${id.split(".").slice(0, 2).join("/")}.html#${id}`;
    link.textContent = statement;
    for (const [neighbours] of outcomes.matchAll(/(.)\1*/gs)) {
      const name = letters[neighbours[0]];
      const cell = row.appendChild(document.createElement("td"));
      cell.className = name.replace(" ", "-");
      if (neighbours.length > 1) cell.colSpan = neighbours.length;
      cell.textContent = name;
    }
    return row;
  };

  const show = () => {
    const found = chosen();
    body.replaceChildren(...found.map(rowOf));
    count.textContent = `${found.length} of ${known.length} clauses`;
  };

  form.hidden = false;
  let waiting;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(show, 150);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
});
