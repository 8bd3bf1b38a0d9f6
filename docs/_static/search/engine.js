// Finds clauses by what people type. The documents and the words come from nnspec/search, as search-data.js.
"use strict";

window.nnspecSearch = (() => {
  const { changed, changes, documents: rows, exact, few, name: nameWorth, nearest, places, releases, stated, synonym, vocabulary, weights, words } = window.nnspecSearchData;
  const empty = new Set(words.empty);
  const owners = new Set(words.owners);
  const stemmer = new EnglishStemmer();
  const stems = new Map();
  const stem = (word) => stems.get(word) ?? stems.set(word, stemmer.stemWord(word)).get(word);

  // Words and places are said once, and then by their number.
  const wordsOf = (numbers) => numbers.map((number) => vocabulary[number]);
  const documents = rows.map(([id, title, at, weight, ...texts]) => {
    const [kind, place, page, placeWords] = places[at];
    const numbers = Object.fromEntries(Object.keys(weights).filter((field) => field !== "place").map((field, number) => [field, texts[number]]));
    const phrasings = numbers.asked.map(wordsOf);
    const text = { ...numbers, asked: numbers.asked.flat(), place: placeWords };
    const statement = kind === "clause" ? wordsOf(numbers.title) : null;
    return { id, kind, title, place, page: page.endsWith("#") ? page + id : page, weight, phrasings, statement, text };
  });

  // What people say for a word, whatever its ending.
  const alike = new Map();
  for (const [word, others] of Object.entries(words.synonyms)) alike.set(stem(word), [...(alike.get(stem(word)) ?? []), ...others]);
  const synonymsOf = (word) => new Set(alike.get(stem(word)));

  const spelt = (word) => {
    const british = Object.keys(words.spellings).find((ending) => word.endsWith(ending));
    return british ? word.slice(0, -british.length) + words.spellings[british] : word;
  };

  const piecesOf = (name) =>
    name.split("_").flatMap((part) => part.match(/[A-Z]{2,}(?![a-z])|[A-Z][a-z]+|[a-z]{2,}/g) ?? []);

  const isKnown = (word) => index.search(word, { fuzzy: false, prefix: false }).length > 0;
  const loosely = (word) => ({ prefix: true, fuzzy: word.length > 4 ? 0.25 : 0 });
  const isClose = (word) => index.search(word, loosely(word)).length > 0;

  // What a pasted traceback ends with: the exception and its message; all of anything else.
  const messageOf = (text) => {
    const frames = text.split(/File "[^"]*", line \d+/);
    const last = frames.at(-1);
    return frames.length > 1 ? last.slice(Math.max(0, last.search(/\b[\w.]*(?:Error|Exception|Warning):/))) : text;
  };

  // Whether a name is written as that of a method, such as model.to or to().
  const isMethod = ({ 0: name, index, input }) => {
    const after = input.charAt(index + name.length);
    return after === "(" || (input.charAt(index - 1) === "." && after !== ".");
  };
  const isCode = (name) => name.includes("_") || /[a-z][A-Z]/.test(name);

  // The words that are sought, each with how it is typed and whether it is a name of code: names, or their pieces
  // where no document has the name. What is asked of model.to is asked of module.to.
  const split = (text) => {
    const owned = messageOf(text).replaceAll(/\b\w+(?=\.[a-z_]+\b(?!\.))/g, (name) => (owners.has(name.toLowerCase()) ? "module" : name));
    const sought = new Map();
    for (const found of owned.matchAll(/[\p{L}\p{N}_]+/gu)) {
      const [name] = found;
      for (const typed of isKnown(name.toLowerCase()) || isClose(name.toLowerCase()) ? [name] : piecesOf(name)) {
        const says = !empty.has(typed.toLowerCase()) || (typed === name && isMethod(found));
        if (says && typed.replaceAll(/^_+|_+$/g, "").length > 1) sought.set(spelt(typed.toLowerCase()), { typed, code: isCode(name) });
      }
    }
    return sought;
  };

  // The releases whose changes a query asks for; of two, those after the one up to the other.
  const releasesIn = (text) => {
    const at = (text.match(/\b\d+\.\d+\b/g) ?? []).map((name) => releases.indexOf(name)).filter((place) => place >= 0);
    const [first, last] = [Math.min(...at), Math.max(...at)];
    const isAsked = first < last || (at.length && new RegExp(changes, "i").test(text));
    return new Set(isAsked ? releases.slice(first + (first < last ? 1 : 0), last + 1) : []);
  };

  const index = new MiniSearch({
    fields: Object.keys(weights),
    extractField: (document, field) => (field === "key" ? document.key : document.text[field]),
    stringifyField: (value) => value,
    idField: "key",
    tokenize: (text) => (Array.isArray(text) ? [...new Set(wordsOf(text))] : [text]),
    processTerm: (word) => stem(word),
    searchOptions: { boost: weights, combineWith: "OR" },
  });
  index.addAll(documents.map(({ text }, key) => ({ key, text })));

  // What a word finds: its documents with their scores. A word that no document has is completed or corrected;
  // of a word and its synonyms the best counts.
  const hitsOf = (word) => {
    const hits = new Map(index.search(word, isKnown(word) ? {} : loosely(word)).map((hit) => [hit.id, hit]));
    for (const other of synonymsOf(word)) {
      for (const hit of index.search(other)) {
        const score = synonym * hit.score;
        if (score > (hits.get(hit.id)?.score ?? 0)) hits.set(hit.id, { ...hit, score });
      }
    }
    return hits;
  };

  // How much it says that a text has a word: more, the fewer have it.
  const rarity = (all, having) => Math.log(1 + all / Math.max(having, 1));

  // What people ask, and then the statements: each with its document and how much it says, each stem with its rows.
  const rowOf = (key, text) => ({ key, said: 0, stems: new Set(text.map(stem)) });
  const asked = documents.flatMap(({ phrasings }, key) => phrasings.map((phrasing) => rowOf(key, phrasing)));
  const phrased = asked.length;
  documents.forEach(({ statement }, key) => statement && asked.push(rowOf(key, statement)));
  const askedWith = new Map();
  asked.forEach(({ stems }, row) => stems.forEach((one) => (askedWith.get(one) ?? askedWith.set(one, []).get(one)).push(row)));

  // How much a word says that these rows have, by how many people use it.
  const saying = (rows) => rarity(Math.max(phrased, 1), rows.filter((row) => row < phrased).length);
  for (const rows of askedWith.values()) {
    const says = saying(rows);
    rows.forEach((row) => (asked[row].said += says));
  }

  // How near the nearest phrasing of a document, or its statement, is to the words that are sought, from 0 to 1.
  const nearestOf = (sought) => {
    const agreed = new Map();
    let total = 0;
    for (const word of sought) {
      const best = new Map((askedWith.get(stem(word)) ?? []).map((row) => [row, 1]));
      for (const other of synonymsOf(word)) {
        for (const row of askedWith.get(stem(other)) ?? []) if (!best.has(row)) best.set(row, synonym);
      }
      const says = saying([...best.keys()]);
      total += says;
      for (const [row, weight] of best) agreed.set(row, (agreed.get(row) ?? 0) + says * weight);
    }
    const near = new Map();
    for (const [row, weight] of agreed) {
      const { key, said } = asked[row];
      const nearness = Math.min(1, weight / Math.sqrt(total * said)) * (row < phrased ? 1 : stated);
      near.set(key, Math.max(near.get(key) ?? 0, nearness));
    }
    return near;
  };

  const find = (text, limit = 30) => {
    const sought = split(text);
    const scores = new Map();
    const near = nearestOf(sought.keys());
    const named = releasesIn(text);
    let total = 0;
    for (const [word, { typed, code }] of sought) {
      const hits = hitsOf(word);
      const worth = code && hits.size <= few ? nameWorth : 1;
      total += worth;
      for (const [id, { score, match }] of hits) {
        const found = scores.get(id) ?? { key: id, score: 0, worth: 0, fields: new Map() };
        found.score += score;
        found.worth += worth;
        found.fields.set(typed, [...new Set(Object.values(match).flat())]);
        scores.set(id, found);
      }
    }
    const whole = text.trim().toLowerCase();
    return [...scores.values()]
      .map((found) => {
        const { id, kind, title, place, page, weight } = documents[found.key];
        const isIt = id.toLowerCase() === whole;
        const isChange = kind === "change" && named.has(id.split(" ")[0]);
        const covered = found.worth / total;
        const closeness = 1 + nearest * (near.get(found.key) ?? 0);
        const score = found.score * weight * covered * closeness * (isIt ? exact : 1) * (isChange ? changed : 1);
        return { id, kind, title, place, page, score, fields: found.fields };
      })
      .sort((one, other) => other.score - one.score)
      .slice(0, limit);
  };

  return { find };
})();
