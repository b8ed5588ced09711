// Prints, for each word that it is given, the address of the first hit of the book's own
// search: node search.js FOLDER WORD...
"use strict";

const fs = require("fs");
const path = require("path");

const [folder, ...words] = process.argv.slice(2);
const file = (pattern) => {
    const name = fs.readdirSync(folder).find((name) => pattern.test(name));
    return path.resolve(folder, name);
};
globalThis.window = { search: {} };
eval(fs.readFileSync(file(/^searchindex.*\.js$/), "utf8"));
const elasticlunr = require(file(/^elasticlunr.*\.js$/));
const { index, search_options, doc_urls } = window.search;
const loaded = elasticlunr.Index.load(index);
for (const word of words) {
    const [first] = loaded.search(word, search_options);
    console.log(first ? doc_urls[first.ref] : "nothing");
}
