// The book in a real browser: node test.js FOLDER, or parts of it: node test.js FOLDER search
// looks. It says what is wrong, and ends with exit code 1 if anything is. CHROMIUM names the
// browser (default: /usr/bin/chromium).
"use strict";

const fs = require("fs");
const path = require("path");
const { chromium } = require("playwright-core");

const folder = path.resolve(process.argv[2] ?? "../../../target/book");
const repository = path.resolve(__dirname, "../../..");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

// A browser trusts this host with the clipboard. Nothing listens there: see `open`.
const ROOT = "http://localhost/";
const PAGES = [
    "index.html", "by-name.html", "by-question.html", "by-section.html",
    "by-difference.html", "by-library.html", "by-message.html", "by-guide.html", "speed.html",
    "traps.html", "crates.html", "sheet.html", "editors-and-agents.html",
    "iterators/generator.html", "concurrency/gather.html",
    "basics/blocking_vs_async.html", "real-world/ttl_cache.html",
];
// Looked for with and without what is in brackets.
const NAMES = `
    (asyncio.)as_completed (asyncio.)wait_for (asyncio.)gather (asyncio.)to_thread
    (asyncio.)TaskGroup (asyncio.)create_task (asyncio.)shield (loop.)run_in_executor
    (loop.)call_later asyncio.sleep asyncio.timeout asyncio.Queue asyncio.Queue.put_nowait
    asyncio.PriorityQueue asyncio.Lock asyncio.Event asyncio.Condition asyncio.Semaphore
    asyncio.Barrier asyncio.wait asyncio.CancelledError asyncio.run asyncio.open_connection
    contextlib.aclosing`.trim().split(/\s+/);

const problems = [];
const report = (what) => problems.push(what);

// Opens a page that gets its files from the folder, and looks at it. It may ask no other host.
async function open(browser, options, look) {
    const context = await browser.newContext(options);
    await context.route("**", (route) => {
        const { origin, pathname } = new URL(route.request().url());
        if (`${origin}/` !== ROOT) {
            report(`asks another host: ${route.request().url()}`);
            return route.abort();
        }
        return route.fulfill({ path: path.join(folder, decodeURIComponent(pathname)) });
    });
    const page = await context.newPage();
    page.on("console", (message) => {
        if (message.type() === "error") {
            report(`${page.url()}: on the console: ${message.text()}`);
        }
    });
    page.on("pageerror", (error) => report(`${page.url()}: ${error.message}`));
    await look(page, options);
    await context.close();
}

// No page is wider than its window, and axe finds nothing that keeps people out.
async function looks(page, { viewport: { width }, colorScheme = "light" }) {
    for (const name of PAGES) {
        await page.goto(ROOT + name);
        const where = `${name}, ${width} pixels, ${colorScheme}`;
        // The text has a scroll bar of its own, so the window does not get wider.
        const wide = await page.evaluate(() => Math.max(
            document.documentElement.scrollWidth - window.innerWidth,
            ...[...document.querySelectorAll(".content, main")].map(
                (part) => part.scrollWidth - part.clientWidth)));
        if (wide > 0) {
            report(`${where}: ${wide} pixels too wide`);
        }
        await page.evaluate(axe);
        const { violations } = await page.evaluate(
            () => axe.run({ resultTypes: ["violations"] }));
        for (const { id, nodes } of violations.filter(({ impact }) => impact !== "minor")) {
            const [first] = nodes;
            report(`${where}: ${id}, ${nodes.length} times: ${first.html} ` +
                first.failureSummary.replace(/\s+/g, " "));
        }
    }
}

// Pages of examples, others each week.
function drawn(count) {
    const is_page = (name) => name.endsWith(".html") && !name.startsWith("toc");
    const all = fs.readdirSync(folder, { recursive: true })
        .filter((name) => is_page(name) && name.includes("/")).sort();
    let seed = Math.floor(Date.now() / 604_800_000);
    return Array.from({ length: count }, () => {
        seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
        return all.splice(seed % all.length, 1)[0];
    });
}

// The answer leaves room for the program on the first screen of nine of ten examples.
async function firstScreen(page, { viewport: { width } }) {
    const limit = width < 1000 ? 850 : 700;
    const low = [];
    const names = drawn(30);
    for (const name of names) {
        await page.goto(ROOT + name);
        const top = await page.evaluate(() =>
            document.querySelector(".programs pre code").getBoundingClientRect().top);
        if (top > limit) {
            low.push(`${name} at ${Math.round(top)}`);
        }
    }
    if (low.length > names.length / 10) {
        report(`${width} pixels: the program begins below ${limit} on ${low.length} of ` +
            `${names.length} pages: ${low.join(", ")}`);
    }
}

// No table is wider than its page, or breaks its words into letters.
async function tables(page, { viewport: { width } }) {
    for (const name of PAGES.filter((it) => !it.includes("/"))) {
        await page.goto(ROOT + name);
        const [wide, cells] = await page.evaluate(() => {
            const main = document.querySelector("main");
            const isNarrow = (cell) => cell.clientWidth < 70 && cell.clientHeight > 70;
            return [main.scrollWidth - main.clientWidth,
                [...document.querySelectorAll("main td")].filter(isNarrow).length];
        });
        if (wide > 0 || cells > 0) {
            report(`${name}, ${width} pixels: ${wide} too wide, ${cells} narrow cells`);
        }
    }
}

// The button gives what is pasted: the file, but for the lines at its end that checks read.
async function copies(page) {
    for (const id of PAGES.filter((name) => name.includes("/")).map((it) => it.split(".")[0])) {
        await page.goto(`${ROOT}${id}.html`);
        await page.press(".copy-file", "Enter");
        await page.waitForFunction(
            () => document.querySelector(".copied").textContent === "Copied");
        const text = await page.evaluate(() => navigator.clipboard.readText());
        const file = `${repository}/crates/${id.replace("/", "/src/")}.rs`;
        if (text !== fs.readFileSync(file, "utf8").replace(/\n(\/\/@ .*\n)+$/, "")) {
            report(`${id}: the clipboard does not hold the file`);
        }
    }
}

// What the search finds for these words: the addresses of the first links.
async function found(page, words, count) {
    await page.fill("#mdbook-searchbar", "");
    await page.fill("#mdbook-searchbar", words);
    await page.press("#mdbook-searchbar", "Shift");
    await page.waitForFunction((words) =>
        document.querySelector("#mdbook-searchresults-header").textContent
            .includes(`'${words}'`), words.trim());
    return page.locator("#mdbook-searchresults a").evaluateAll((all, count) =>
        all.slice(0, count).map((link) => link.getAttribute("href")), count);
}

// Names of asyncio lead to their entries, and the questions of the table, word for word, to
// the best example: it is among the first five.
async function search(page) {
    // The box on the first page.
    await page.goto(`${ROOT}index.html`);
    await page.focus(".search input");
    await page.keyboard.type("gather");
    await page.waitForSelector("#mdbook-searchresults a");
    for (const name of NAMES) {
        const heading = name.replace(/[()]/g, "");
        for (const words of new Set([heading, name.replace(/\(.*\)/, "")])) {
            const links = await found(page, words, 3);
            if (!links.some((link) => link.endsWith(`#${heading}`))) {
                report(`search for ${words} leads to ${links}`);
            }
        }
    }
    const table = fs.readFileSync(`${repository}/docs/questions.tsv`, "utf8");
    const rows = table.trim().split("\n").slice(1).map((row) => row.split("\t"));
    const step = Math.ceil(rows.length / 100);
    for (const [question, examples] of rows.filter((_, number) => number % step === 0)) {
        const links = await found(page, question, 5);
        const name = examples.split(" ")[0].split("/").pop();
        if (!links.some((link) => link.includes(`/${name}.html`))) {
            report(`the search does not answer ${question} (${links})`);
        }
    }
    // By keyboard alone, from the search to the page.
    await page.press("#mdbook-searchbar", "Enter");
    await page.waitForURL(/\?highlight=/);
}

// On A4, the sheet fits on two pages, and nothing of a page is cut off.
async function paper(page) {
    await page.emulateMedia({ media: "print" });
    await page.goto(`${ROOT}sheet.html`);
    const pdf = (await page.pdf({ preferCSSPageSize: true })).toString("latin1");
    const pages = pdf.match(/\/Type\s*\/Page\b/g).length;
    if (pages !== 2) {
        report(`the sheet takes ${pages} pages`);
    }
    for (const name of PAGES) {
        await page.goto(ROOT + name);
        const wide = await page.evaluate(
            () => document.documentElement.scrollWidth - window.innerWidth);
        if (wide > 0) {
            report(`${name}, printed: ${wide} pixels too wide`);
        }
    }
}

// Without JavaScript nothing is missing but the search: both programs, the parts, the contents.
async function withoutScript(page) {
    for (const name of PAGES.filter((name) => name.includes("/"))) {
        await page.goto(ROOT + name);
        for (const part of [".programs .rust pre", ".transcript", ".timeline", "#mdbook-content"]) {
            if (!await page.locator(part).first().isVisible()) {
                report(`${name}, without JavaScript: ${part} is not seen`);
            }
        }
        const contents = page.frameLocator(".sidebar-iframe-outer").locator("a");
        if (await contents.count() < 200) {
            report(`${name}, without JavaScript: there is no table of contents`);
        }
    }
}

// The tabs and the parts that fold away can be reached and used by keyboard, and a part opens
// when a link leads to it.
async function keyboard(page) {
    await page.goto(`${ROOT}iterators/generator.html`);
    await page.focus(".tabs [value=python]");
    await page.keyboard.press("Enter");
    if (!await page.locator(".programs > .python").isVisible()) {
        report("the tabs do not show the program in Python");
    }
    await page.focus("#mdbook-sidebar-toggle");
    await page.keyboard.press("Enter");
    if (await page.locator("#mdbook-sidebar").getAttribute("aria-hidden") !== "true") {
        report("the table of contents does not close by keyboard");
    }
    await page.focus("#transcript summary");
    await page.keyboard.press("Enter");
    if (await page.locator("#transcript").getAttribute("open") !== null) {
        report("a transcript does not fold away by keyboard");
    }
    await page.goto(`${ROOT}real-world/ttl_cache.html#tests`);
    if (await page.locator("#tests").getAttribute("open") === null) {
        report("a link to the tests does not open them");
    }
}

// Each part, and the windows in which it looks.
const size = (width, height, more) => ({ viewport: { width, height }, ...more });
const WIDTHS = [390, 768, 1024, 1280, 1366, 1440, 1920];
const PARTS = [
    [copies, { permissions: ["clipboard-read", "clipboard-write"] }],
    [search, {}],
    [keyboard, size(1440, 900)],
    [withoutScript, { javaScriptEnabled: false }],
    [paper, size(703, 1032, { colorScheme: "dark" })],
    [firstScreen, ...WIDTHS.map((width) => size(width, 800))],
    [tables, ...[640, ...WIDTHS].map((width) => size(width, 800))],
    [looks, size(1440, 900), size(390, 900, { colorScheme: "dark" })],
];

async function main() {
    const browser = await chromium.launch({
        executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
        args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
    });
    const asked = process.argv.slice(3);
    for (const [part, ...windows] of PARTS) {
        if (asked.length === 0 || asked.includes(part.name)) {
            await Promise.all(windows.map((options) => open(browser, options, part)));
        }
    }
    await browser.close();
    problems.forEach((problem) => console.log(problem));
    console.log(`${problems.length} problems`);
    process.exitCode = problems.length > 0 ? 1 : 0;
}

main();
