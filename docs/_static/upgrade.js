// What changes from one torch to another: the rows of `nnspec compare`, for any two records.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("choose");
  if (!form || window.nnspec.runs.length < 2) return;
  const { letters, rows, runs } = window.nnspec;
  const FALSE = "nlav";
  const UNJUDGED = "ue";

  const sort = (before, after) => {
    if (before === "." && after === ".") return null;
    if (before === ".") return "Added";
    if (after === ".") return "Retired";
    if (UNJUDGED.includes(before) || UNJUDGED.includes(after)) return "Not judged on both sides";
    if (FALSE.includes(before) && after === "h") return "Newly holds";
    if (before === "h" && FALSE.includes(after)) return "No longer holds";
    return "same";
  };

  const compare = (from, to) => {
    const found = { "No longer holds": [], "Newly holds": [], Added: [], Retired: [], "Not judged on both sides": [], same: [] };
    for (const row of rows) {
      const group = sort(row[3][from], row[3][to]);
      if (group) found[group].push(row);
    }
    return found;
  };

  const element = (name, text = "") => Object.assign(document.createElement(name), { textContent: text });
  const told = (letter) => (letter === "." ? "no row" : letters[letter][0]);

  const itemOf = ([id, statement, , outcomes, links = []], from, to) => {
    const item = element("li");
    item.dataset.clause = id;
    if (statement) {
      const link = item.appendChild(element("a", statement));
      link.href = `../spec/${id.split(".").slice(0, 2).join("/")}.html#${id}`;
    } else {
      item.append(element("code", id));
    }
    item.append(" ", element("em", `${told(outcomes[from])} → ${told(outcomes[to])}`));
    for (const address of links) {
      item.append(" ", Object.assign(element("a", `#${address.split("/").pop()}`), { href: address }));
    }
    return item;
  };

  const show = (from, to) => {
    const { same, ...groups } = compare(from, to);
    const place = document.getElementById("comparison");
    place.replaceChildren(element("h2", `From ${runs[from].name} to ${runs[to].name}`));
    for (const [title, found] of Object.entries(groups)) {
      if (!found.length) continue;
      const list = element("ul");
      list.dataset.group = title;
      list.append(...found.map((row) => itemOf(row, from, to)));
      place.append(element("h3", `${title} (${found.length})`), list);
    }
    const differ = Object.entries(groups).some(([title, found]) => !title.startsWith("Not") && found.length);
    if (!differ) place.append(element("p", "Nothing that could be judged on both sides differs."));
    place.append(element("p", `The same on both sides: ${same.length}.`));
    for (const run of new Set([runs[from], runs[to]])) {
      if (run.pending) place.append(element("p", `Note: ${run.pending} rows of ${run.name} are pending: those clauses are newer than the record.`));
    }
  };

  const word = (run) => (run.device === "cpu" ? run.release : run.name);
  const index = (wanted) => runs.findIndex((run) => word(run) === wanted || run.name === wanted);

  for (const select of [form.elements.from, form.elements.to]) {
    select.append(...runs.map((run) => Object.assign(element("option", word(run)), { value: word(run) })));
  }
  const asked = new URLSearchParams(location.search);
  const from = asked.has("from") ? index(asked.get("from")) : runs.length - 2;
  const to = asked.has("to") ? index(asked.get("to")) : runs.length - 1;
  form.elements.from.selectedIndex = from < 0 ? 0 : from;
  form.elements.to.selectedIndex = to < 0 ? runs.length - 1 : to;
  form.hidden = false;
  if (asked.has("from") || asked.has("to")) {
    if (from < 0 || to < 0) {
      const wanted = from < 0 ? asked.get("from") : asked.get("to");
      document.getElementById("comparison").append(element("p", `There is no record of ${wanted}.`));
    } else {
      show(from, to);
    }
  }
});
