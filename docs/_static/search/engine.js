// Finds clauses by what people type. The documents and the words come from nnspec/search, as search-data.js.
"use strict";

window.nnspecSearch = (() => {
  const { documents, exact, synonym, weights, words } = window.nnspecSearchData;
  const empty = new Set(words.empty);
  const stemmer = new EnglishStemmer();
  const stem = (word) => stemmer.stemWord(word);

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
    tokenize: (text) => text.split(" "),
    processTerm: (word) => stem(word),
    searchOptions: { boost: weights, combineWith: "OR" },
  });
  index.addAll(documents.map(([, , , , , , text], key) => ({ key, text })));

  // What a word finds: its documents with their scores. A word that no document has is completed or corrected;
  // of a word and its synonyms the best counts.
  const hitsOf = (word) => {
    const hits = new Map(index.search(word, isKnown(word) ? {} : loosely(word)).map((hit) => [hit.id, hit]));
    for (const other of words.synonyms[word] ?? []) {
      for (const hit of index.search(other)) {
        const score = synonym * hit.score;
        if (score > (hits.get(hit.id)?.score ?? 0)) hits.set(hit.id, { ...hit, score });
      }
    }
    return hits;
  };

  const find = (text, limit = 30) => {
    const sought = split(text);
    const scores = new Map();
    for (const word of sought) {
      for (const [id, { score, match }] of hitsOf(word)) {
        const found = scores.get(id) ?? { key: id, score: 0, words: 0, fields: new Map() };
        found.score += score;
        found.words += 1;
        found.fields.set(word, [...new Set(Object.values(match).flat())]);
        scores.set(id, found);
      }
    }
    const asked = text.trim().toLowerCase();
    return [...scores.values()]
      .map((found) => {
        const [id, kind, title, place, page, weight] = documents[found.key];
        const isIt = id.toLowerCase() === asked;
        const score = found.score * weight * (found.words / sought.length) * (isIt ? exact : 1);
        return { id, kind, title, place, page, score, fields: found.fields };
      })
      .sort((one, other) => other.score - one.score)
      .slice(0, limit);
  };

  return { find };
})();
