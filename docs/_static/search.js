// The search page: what was asked is in the address, the answers are clauses.
"use strict";

document.addEventListener("DOMContentLoaded", async () => {
  const results = document.getElementById("search-results");
  const asked = new URLSearchParams(location.search).get("q") ?? "";
  const field = document.querySelector("main form[role=search] input");
  field.value = asked;
  if (!asked.trim()) return field.focus();

  const root = document.documentElement.dataset.content_root;
  const load = (name) =>
    new Promise((resolve, reject) => {
      const script = Object.assign(document.createElement("script"), { src: `${root}_static/${name}` });
      script.addEventListener("load", resolve);
      script.addEventListener("error", () => reject(new Error(`${name} cannot be loaded`)));
      document.head.append(script);
    });
  const element = (name, text, className = "") => Object.assign(document.createElement(name), { textContent: text, className });

  const status = element("p", "Searching …");  // which a screen reader reads, unlike the whole list
  status.setAttribute("role", "status");
  results.replaceChildren(status);
  try {
    for (const name of ["search-data.js", "search/base-stemmer.js", "search/english-stemmer.js"]) await load(name);
    for (const name of ["search/minisearch.js", "search/engine.js"]) await load(name);
  } catch (error) {
    status.textContent = `The search does not work here: ${error.message}.`;
    return;
  }

  const KINDS = { clause: "", question: "Question", claim: "Claim", rule: "Rule of the contract", change: "Change", name: "API name", page: "Page" };
  const FIELDS = { title: "", asked: "what people ask", errors: "error message", place: "chapter", prose: "explanation", id: "id", code: "example" };

  const whyOf = (fields) => {
    const places = new Map();
    for (const [word, found] of fields) {
      const place = found.includes("title") ? "" : FIELDS[Object.keys(FIELDS).find((field) => found.includes(field))];
      places.set(place, [...(places.get(place) ?? []), word]);
    }
    return [...places].map(([place, words]) => words.join(", ") + (place ? ` (${place})` : "")).join("; ");
  };

  const itemOf = ({ id, kind, title, place, page, fields }) => {
    const item = element("li", "");
    item.dataset.id = id;
    item.dataset.kind = kind;
    const dated = title.match(/^(?:Up to|Since|From|On) [\d.]+(?: to [\d.]+)?:/)?.[0] ?? "";
    const link = item.appendChild(element("a", title.slice(dated.length).trim()));
    link.href = root + page;
    if (dated) link.prepend(element("span", dated.slice(0, -1), "dated"), " ");
    const told = [KINDS[kind], place, `found: ${whyOf(fields)}`].filter((text, at, all) => text && all.indexOf(text) === at);
    item.append(element("p", told.join(" · "), "why"));
    return item;
  };

  const found = window.nnspecSearch.find(asked);
  if (!found.length) {
    status.textContent = "Nothing has any of these words. Try a name of the API, a part of the error message, or fewer letters.";
    return;
  }
  const list = element("ol", "", "results");
  list.append(...found.map(itemOf));
  status.textContent = found.length === 1 ? "1 answer" : `${found.length} answers, the best first`;
  results.append(list);
  document.title = `${asked} - ${document.title}`;
});
