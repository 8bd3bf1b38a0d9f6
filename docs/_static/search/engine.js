// Finds clauses by what people type. The documents and the words come from nnspec/search, as search-data.js.
"use strict";

window.nnspecSearch = (() => {
  const { documents, exact, nearest, synonym, weights, words } = window.nnspecSearchData;
  const empty = new Set(words.empty);
  const stemmer = new EnglishStemmer();
  const stems = new Map();
  const stem = (word) => stems.get(word) ?? stems.set(word, stemmer.stemWord(word)).get(word);

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

  // The words that are sought: names as they are typed, or their pieces where no document has the name.
  const split = (text) => {
    const names = [...text.matchAll(/[\p{L}\p{N}_]+/gu)].map(([name]) => name);
    const typed = names.flatMap((name) => (isKnown(name.toLowerCase()) || isClose(name.toLowerCase()) ? [name] : piecesOf(name)));
    const lowered = typed.map((word) => spelt(word.toLowerCase()));
    return [...new Set(lowered)].filter((word) => word.replaceAll(/^_+|_+$/g, "").length > 1 && !empty.has(word));
  };

  const index = new MiniSearch({
    fields: Object.keys(weights),
    extractField: (document, field) => (field === "key" ? document.key : document.text[field] ?? ""),
    idField: "key",
    tokenize: (text) => [...new Set(text.split(/\s/))],
    processTerm: (word) => stem(word),
    searchOptions: { boost: weights, combineWith: "OR" },
  });
  index.addAll(documents.map(([, , , , , , text], key) => ({ key, text })));

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

  // What people ask: each phrasing with its document and how much it says, each stem with its phrasings.
  const asked = documents.flatMap(([, , , , , , text], key) =>
    (text.asked ?? "").split("\n").filter(Boolean).map((phrasing) => ({ key, said: 0, stems: new Set(phrasing.split(" ").map(stem)) })),
  );
  const askedWith = new Map();
  asked.forEach(({ stems }, row) => stems.forEach((one) => askedWith.set(one, [...(askedWith.get(one) ?? []), row])));
  for (const rows of askedWith.values()) rows.forEach((row) => (asked[row].said += rarity(asked.length, rows.length)));

  // How near the nearest phrasing of a document is to the words that are sought, from 0 to 1.
  const nearestOf = (sought) => {
    const agreed = new Map();
    let total = 0;
    for (const word of sought) {
      const best = new Map((askedWith.get(stem(word)) ?? []).map((row) => [row, 1]));
      for (const other of synonymsOf(word)) {
        for (const row of askedWith.get(stem(other)) ?? []) if (!best.has(row)) best.set(row, synonym);
      }
      const says = rarity(asked.length, best.size);
      total += says;
      for (const [row, weight] of best) agreed.set(row, (agreed.get(row) ?? 0) + says * weight);
    }
    const near = new Map();
    for (const [row, weight] of agreed) {
      const { key, said } = asked[row];
      near.set(key, Math.max(near.get(key) ?? 0, Math.min(1, weight / Math.sqrt(total * said))));
    }
    return near;
  };

  const find = (text, limit = 30) => {
    const sought = split(text);
    const scores = new Map();
    const near = nearestOf(sought);
    for (const word of sought) {
      for (const [id, { score, match }] of hitsOf(word)) {
        const found = scores.get(id) ?? { key: id, score: 0, words: 0, fields: new Map() };
        found.score += score;
        found.words += 1;
        found.fields.set(word, [...new Set(Object.values(match).flat())]);
        scores.set(id, found);
      }
    }
    const whole = text.trim().toLowerCase();
    return [...scores.values()]
      .map((found) => {
        const [id, kind, title, place, page, weight] = documents[found.key];
        const isIt = id.toLowerCase() === whole;
        const covered = found.words / sought.length;
        const closeness = 1 + nearest * (near.get(found.key) ?? 0);
        const score = found.score * weight * covered * closeness * (isIt ? exact : 1);
        return { id, kind, title, place, page, score, fields: found.fields };
      })
      .sort((one, other) => other.score - one.score)
      .slice(0, limit);
  };

  return { find };
})();
