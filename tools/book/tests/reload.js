// Runs the scripts that a server adds to a page, as an open page would:
// node reload.js ADDRESS. It prints "open", "reload" when the page reloads, and ends.
"use strict";

const address = process.argv[2];
const ask = fetch;

async function main() {
    const page = await (await ask(address)).text();
    const scripts = [...page.matchAll(/<script>([^<]*"\/-made"[^<]*)<\/script>/g)];
    if (scripts.length !== 1) {
        throw new Error(`${scripts.length} scripts that reload the page`);
    }
    globalThis.fetch = (path) => ask(new URL(path, address));
    globalThis.location = {
        reload() {
            console.log("reload");
            process.exit();
        },
    };
    new Function(scripts[0][1])();
    console.log("open");
}

main();
