// The search of `find`, compiled, in the place of elasticlunr, which mdBook's search bar calls.
"use strict";

window.elasticlunr = {
    stemmer: (word) => word,
    Index: {
        load({ engine, entries }) {
            const bytes = Uint8Array.from(atob(engine), (byte) => byte.charCodeAt(0));
            const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes));
            const put = (text) => {
                const encoded = new TextEncoder().encode(text);
                const at = exports.room(encoded.length);
                new Uint8Array(exports.memory.buffer, at, encoded.length).set(encoded);
            };
            put(entries);
            exports.load();
            const html = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
            const hit = (line) => {
                const [url, matched, body] = line.split("\t");
                const ref = window.search.doc_urls.push(url) - 1;
                return { ref, doc: { breadcrumbs: html(matched), body } };
            };
            const search = (words) => {
                put(words);
                const at = exports.find();
                const found = new Uint8Array(exports.memory.buffer, at, exports.length());
                return new TextDecoder().decode(found).split("\n").filter(Boolean).map(hit);
            };
            return { search };
        },
    },
};
