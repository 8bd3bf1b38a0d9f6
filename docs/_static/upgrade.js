// What changes from one torch to another: the written changes, those that hurt first, then the rows of `nnspec compare`.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("choose");
  if (!form || window.nnspec.runs.length < 2) return;
  const { changes, hurts, letters, releases, rows, runs } = window.nnspec;
  const FALSE = "nlav";
  const UNJUDGED = "ue";
  const FOLDED = ["new", "internal"];
  const byId = new Map(rows.map((row) => [row[0], row]));

  const sort = (before, after) => {
    if (before === "." && after === ".") return null;
    if (before === ".") return "Added";
    if (after === ".") return "Retired";
    if (UNJUDGED.includes(before) || UNJUDGED.includes(after)) return "Not judged on both sides";
    if (FALSE.includes(before) && after === "h") return "Newly holds";
    if (before === "h" && FALSE.includes(after)) return "No longer holds";
    return "same";
  };

  // What somebody uses, by the last piece of each name; in a text it may be a class of any number of dimensions.
  const uses = form.elements.uses;
  const used = () => uses.value.split(/[\s,;]+/).map((name) => name.replace(/\(.*/, "").split(".").at(-1)).filter((name) => /^\w+$/.test(name));
  const speaksOf = (wanted) => new RegExp(wanted.length ? `(?<!\\w)(?:${wanted.join("|")})(?:[123]d)?(?!\\w)` : "", "i");

  const compare = (from, to, kept) => {
    const found = { "No longer holds": [], "Newly holds": [], Added: [], Retired: [], "Not judged on both sides": [], same: [] };
    for (const row of rows.filter(([id, statement]) => kept.test(statement || id))) {
      const group = sort(row[3][from], row[3][to]);
      if (group) found[group].push(row);
    }
    return found;
  };

  const element = (name, text = "", className = "") => Object.assign(document.createElement(name), { textContent: text, className });
  const told = (letter) => (letter === "." ? "no row" : letters[letter]);

  // Text whose only markup is `code` between backticks.
  const marked = (name, text) => {
    const place = document.createElement(name);
    text.split("`").forEach((piece, at) => place.append(at % 2 ? element("code", piece) : piece));
    return place;
  };

  const folded = (title, ...contents) => {
    const box = document.createElement("details");
    box.append(element("summary", title), ...contents);
    return box;
  };

  const linkTo = ([id, statement]) => {
    if (!statement) return element("code", id);
    const link = element("a", statement);
    link.href = `../spec/${id.split(".").slice(0, 2).join("/")}.html#${id}`;
    return link;
  };

  const linksOf = (addresses) =>
    addresses.flatMap((address) => [" ", Object.assign(element("a", `#${address.split("/").pop()}`), { href: address })]);

  const itemOf = (row, from, to) => {
    const [id, , , outcomes, links = []] = row;
    const item = element("li");
    item.dataset.clause = id;
    item.append(linkTo(row), " ", element("em", `${told(outcomes[from])} → ${told(outcomes[to])}`), ...linksOf(links));
    return item;
  };

  const listOf = (title, clauses) => {
    const list = element("ul");
    list.append(...clauses.map((row) => { const item = element("li"); item.append(linkTo(row)); return item; }));
    const column = element("div");
    column.append(element("p", title), list);
    return column;
  };

  // What was so before beside what is so now, folded.
  const clausesOf = (change, from, to) => {
    const all = change.clauses.map((id) => byId.get(id)).filter((row) => row && row[1]);
    const before = all.filter((row) => row[3][from] === "h" && row[3][to] !== "h");
    const now = all.filter((row) => row[3][to] === "h" && row[3][from] !== "h");
    const columns = element("div", "", "beside");
    if (before.length) columns.append(listOf(`On ${runs[from].release}`, before));
    if (now.length) columns.append(listOf(`On ${runs[to].release}`, now));
    const count = before.length + now.length;
    return count ? [folded(count === 1 ? "1 clause" : `${count} clauses`, columns)] : [];
  };

  const changeOf = (change, from, to) => {
    const item = element("li");
    const what = marked("p", change.what);
    what.prepend(element("strong", `${change.release} `));
    what.append(...linksOf(change.links));
    item.append(what);
    if (change.do) {
      const does = marked("p", change.do);
      does.prepend(element("strong", "What to do: "));
      item.append(does);
    }
    item.append(...clausesOf(change, from, to));
    return item;
  };

  const showChanges = (place, from, to, kept) => {
    const [first, last] = [from, to].map((run) => releases.indexOf(runs[run].release));
    const all = changes.filter(({ release }) => releases.indexOf(release) > first && releases.indexOf(release) <= last);
    const onTheWay = all.filter(({ names, what }) => [what, ...names].some((text) => kept.test(text)));
    const howMany = onTheWay.length > 1 ? `${onTheWay.length} speak` : `${onTheWay.length || "none"} speaks`;
    document.getElementById("kept").textContent = used().length && all.length ? `Of ${all.length} changes ${howMany} of ${used().join(", ")}.` : "";
    const count = (kind) => onTheWay.filter((change) => change.hurts === kind).length;
    if (!onTheWay.length) return;
    place.append(element("p", `${onTheWay.length} ${onTheWay.length === 1 ? "change" : "changes"}: ${count("breaks")} break code, ${count("warns")} warn, ${count("new")} bring something new, ${count("internal")} are internal.`));
    for (const [kind, title] of Object.entries(hurts)) {
      const found = onTheWay.filter((change) => change.hurts === kind);
      if (!found.length) continue;
      const list = element("ul", "", "changes");
      list.dataset.hurts = kind;
      list.append(...found.map((change) => changeOf(change, from, to)));
      if (FOLDED.includes(kind)) place.append(folded(`${title} (${found.length})`, list));
      else place.append(element("h3", `${title} (${found.length})`), list);
    }
  };

  const said = (run) => (run.device === "cpu" ? run.release : `${run.release} on ${run.device}`);

  const show = (from, to) => {
    const kept = speaksOf(used());
    const { same, "Not judged on both sides": unjudged, ...groups } = compare(from, to, kept);
    const place = document.getElementById("comparison");
    place.replaceChildren(element("h2", `From ${said(runs[from])} to ${said(runs[to])}`));
    showChanges(place, from, to, kept);
    place.append(element("h3", "Clause by clause"));
    for (const [title, found] of Object.entries(groups)) {
      if (!found.length) continue;
      const list = element("ul");
      list.dataset.group = title;
      list.append(...found.map((row) => itemOf(row, from, to)));
      place.append(folded(`${title} (${found.length})`, list));
    }
    const differ = Object.values(groups).some((found) => found.length);
    if (!differ) place.append(element("p", "Nothing that could be judged on both sides differs."));
    place.append(element("p", `The same on both sides: ${same.length}. Not judged on both sides: ${unjudged.length}. The records: ${runs[from].name} and ${runs[to].name}.`));
    for (const run of new Set([runs[from], runs[to]])) {
      if (run.pending) place.append(element("p", `Note: ${run.pending} rows of ${run.name} are pending: those clauses are newer than the record.`));
    }
  };

  const word = (run) => (run.device === "cpu" ? run.release : run.name);
  const index = (wanted) => runs.findIndex((run) => word(run) === wanted || run.name === wanted);

  for (const select of [form.elements.from, form.elements.to]) {
    select.append(...runs.map((run) => Object.assign(element("option", said(run)), { value: word(run) })));
  }
  const names = new Set(changes.flatMap((change) => change.names.map((name) => name.replace(/^torch\.nn\.|^torch\./, ""))));
  document.getElementById("names").append(...[...names].sort().map((value) => Object.assign(element("option"), { value })));
  form.addEventListener("submit", () => { uses.name = uses.value.trim() ? "uses" : ""; });  // no empty word in the address
  const asked = new URLSearchParams(location.search);
  const from = asked.has("from") ? index(asked.get("from")) : runs.length - 2;
  const to = asked.has("to") ? index(asked.get("to")) : runs.length - 1;
  form.elements.from.selectedIndex = from < 0 ? 0 : from;
  form.elements.to.selectedIndex = to < 0 ? runs.length - 1 : to;
  uses.value = asked.get("uses") ?? "";
  form.hidden = false;
  if (asked.has("from") || asked.has("to")) {
    if (from < 0 || to < 0) {
      const wanted = from < 0 ? asked.get("from") : asked.get("to");
      document.getElementById("comparison").append(element("p", `There is no record of ${wanted}.`));
    } else {
      show(from, to);
      uses.addEventListener("input", () => show(from, to));
    }
  }
});
