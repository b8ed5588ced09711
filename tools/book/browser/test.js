// The book in a real browser: node test.js FOLDER, or parts of it: node test.js FOLDER search
// looks. It says what is wrong, and ends with exit code 1 if anything is. CHROMIUM names the
// browser (default: /usr/bin/chromium).
"use strict";

const fs = require("fs");
const http = require("http");
const path = require("path");
const { chromium } = require("playwright-core");

const folder = path.resolve(process.argv[2] ?? "../../../target/book");
const repository = path.resolve(__dirname, "../../..");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

// A browser trusts this host with the clipboard. The system picks the port.
let ROOT = "http://localhost";
const TYPES = {
    ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml",
};
const PAGES = [
    "index.html", "by-name.html", "by-question.html", "by-section.html",
    "by-difference.html", "by-library.html", "by-message.html", "by-guide.html", "speed.html",
    "traps.html", "crates.html", "sheet.html", "editors-and-agents.html",
    "iterators/generator.html", "concurrency/gather.html",
    "basics/blocking_vs_async.html", "real-world/ttl_cache.html",
];
// Of pages, styles, scripts and fonts; what agents read is not in it.
const MOST_MEGABYTES = 15;
// What the first screen of an example shows, in whatever window.
const FIRST = [".name", ".copy-file", ".take pre", ".answer > p", ".box.trap", ".tabs"];
// Each example's page.
const EXAMPLES = fs.readdirSync(`${repository}/crates`).flatMap((section) =>
    fs.readdirSync(path.join(folder, section)).filter((file) => file.endsWith(".html"))
        .map((file) => `${section}/${path.parse(file).name}`));
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

// Serves the folder. A browser may keep what it got: all pages load the same styles and scripts.
async function serve() {
    const server = http.createServer((request, response) => {
        const file = path.join(folder, decodeURIComponent(new URL(request.url, ROOT).pathname));
        if (!fs.existsSync(file)) {
            return response.writeHead(404).end();
        }
        response.setHeader("Content-Type", TYPES[path.extname(file)] ?? "application/octet-stream");
        response.setHeader("Cache-Control", "max-age=3600");
        fs.createReadStream(file).pipe(response);
    });
    await new Promise((done) => server.listen(0, "localhost", done));
    ROOT = `http://localhost:${server.address().port}/`;
    return server;
}

// Opens a page and looks at it. It may ask no other host.
async function open(browser, options, look) {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    page.on("request", (request) => {
        if (!request.url().startsWith(ROOT)) {
            report(`asks another host: ${request.url()}`);
        }
    });
    page.on("console", (message) => {
        if (message.type() === "error") {
            report(`${page.url()}: on the console: ${message.text()}`);
        }
    });
    page.on("pageerror", (error) => report(`${page.url()}: ${error.message}`));
    await look(page, options);
    await context.close();
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
        const small = await page.evaluate(() =>
            [...document.querySelectorAll("main code, main td")].filter(
                (part) => parseFloat(getComputedStyle(part).fontSize) < 11).length);
        if (small > 0) {
            report(`${where}: ${small} parts are too small to read`);
        }
        // It takes long for long pages: light and wide, and dark and narrow.
        if (width < 1440 && colorScheme === "light") {
            continue;
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

async function copies(page) {
    if (EXAMPLES.length < 100) {
        report(`there are only ${EXAMPLES.length} examples`);
    }
    for (const id of EXAMPLES) {
        await page.goto(`${ROOT}${id}.html`);
        await page.press(".copy-file", "Enter");
        await page.waitForFunction(
            () => document.querySelector(".copied").textContent === "Copied");
        const text = await page.evaluate(() => navigator.clipboard.readText());
        const file = `${repository}/crates/${id.replace("/", "/src/")}.rs`;
        if (text !== fs.readFileSync(file, "utf8")) {
            report(`${id}: the clipboard does not hold the file`);
        }
    }
}

async function firstScreen(page, { viewport: { width, height } }) {
    for (const name of PAGES.filter((name) => name.includes("/"))) {
        await page.goto(ROOT + name);
        for (const part of FIRST) {
            const box = await page.locator(part).first().boundingBox();
            if (!box || box.y + box.height > height) {
                report(`${name}, ${width} pixels: ${part} is not in sight`);
            }
        }
    }
}

// Each program by itself, or both. The next page shows what was chosen last.
async function tabs(page) {
    const shown = async (where, expected) => {
        const visible = [];
        for (const program of ["rust", "python"]) {
            const is_visible = await page.locator(`.programs > .${program}`).isVisible();
            visible.push(...(is_visible ? [program] : []));
        }
        if (visible.join() !== expected) {
            report(`${where}: shows ${visible.join()}, not ${expected}`);
        }
    };
    await page.goto(`${ROOT}iterators/generator.html`);
    await shown("at first", "rust");
    await page.click(".tabs [value=python]");
    await shown("Python", "python");
    await page.goto(`${ROOT}concurrency/gather.html`);
    await shown("the next page", "python");
    await page.click(".tabs [value=both]");
    await shown("both", "rust,python");
}

// Where they fit, both programs stand beside each other, and neither has to be scrolled.
async function beside(page) {
    await page.goto(`${ROOT}concurrency/gather.html`);
    const [rust, python] = await Promise.all(["rust", "python"].map(
        (program) => page.locator(`.programs > .${program}`).boundingBox()));
    if (!rust || !python || rust.y !== python.y) {
        report("1920 pixels: the programs do not stand beside each other");
    }
    const long = await page.evaluate(() => [...document.querySelectorAll(".programs code")]
        .filter((code) => code.scrollWidth > code.clientWidth).length);
    if (long > 0) {
        report(`1920 pixels: ${long} programs have to be scrolled sideways`);
    }
}

async function anchors(page) {
    await page.goto(`${ROOT}real-world/ttl_cache.html`);
    const trap = await page.evaluate(() => [...document.querySelectorAll("[id]")]
        .find((it) => /^T\d{3}$/.test(it.id)).id);
    for (const id of ["demonstration", "transcript", "timeline", "tests", "refused", trap]) {
        await page.goto(ROOT + "index.html");
        await page.goto(`${ROOT}real-world/ttl_cache.html#${id}`);
        const part = page.locator(`#${id}`);
        const is_open = await part.evaluate((it) => it.tagName !== "DETAILS" || it.open);
        const { y } = await part.boundingBox();
        if (!is_open || y < 0 || y > 900) {
            report(`#${id}: open: ${is_open}, at ${y}`);
        }
    }
}

async function search(page) {
    // The box on the first page.
    await page.goto(`${ROOT}index.html`);
    await page.focus(".search input");
    await page.keyboard.type("gather");
    await page.waitForSelector("#mdbook-searchresults a");
    const typed = await page.inputValue("#mdbook-searchbar");
    if (typed !== "gather") {
        report(`the first page searches for ${typed}, not gather`);
    }
    await page.goto(`${ROOT}index.html`);
    await page.keyboard.press("/");
    const looked = NAMES.flatMap((name) => {
        const target = name.replace(/[()]/g, "");
        return [...new Set([target, name.replace(/\(.*\)/, "")])].map((it) => [it, target]);
    });
    for (const [name, heading] of looked) {
        const targets = await found(page, name, 3);
        const end = `by-name.html?highlight=${encodeURIComponent(name)}#${heading}`;
        if (!targets.some((target) => target.endsWith(end))) {
            report(`search for ${name} leads to ${targets}`);
        }
    }
    // By keyboard alone, from the search to the page.
    await page.press("#mdbook-searchbar", "Enter");
    await page.waitForURL(/\?highlight=/);
}

// On A4: the sheet fits on two pages, and a page shows all its parts and nothing beside them.
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
        const seen = await page.evaluate(() => {
            const is_seen = (part) => part.checkVisibility({ contentVisibilityAuto: true });
            const all = (selector) => [...document.querySelectorAll(selector)];
            return {
                wide: document.documentElement.scrollWidth - window.innerWidth,
                beside: all("nav, #mdbook-menu-bar, .tabs, .copy-file").filter(is_seen).length,
                hidden: all("main :is(pre, .transcript, .timeline)").filter((it) => !is_seen(it)).length,
                paper: getComputedStyle(document.documentElement).getPropertyValue("--bg"),
            };
        });
        const { wide, beside, hidden, paper } = seen;
        if (wide > 0 || beside > 0 || hidden > 0 || paper !== "#fff") {
            report(`${name}, printed: ${JSON.stringify(seen)}`);
        }
    }
}

// The first questions of the table, word for word: the best example is among the first five.
async function questions(page) {
    const table = fs.readFileSync(`${repository}/docs/questions.tsv`, "utf8");
    const rows = table.trim().split("\n").slice(1).map((row) => row.split("\t"));
    const step = Math.ceil(rows.length / 100);
    const missed = [];
    await page.goto(`${ROOT}index.html`);
    await page.keyboard.press("/");
    for (const [question, examples] of rows.filter((_, number) => number % step === 0)) {
        const links = await found(page, question, 5);
        const name = examples.split(" ")[0].split("/").pop();
        if (!links.some((link) => link.includes(`/${name}.html`))) {
            missed.push(`${question} (${links})`);
        }
    }
    if (missed.length > 0) {
        report(`the search does not answer ${missed.length} questions: ${missed.join("; ")}`);
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
        for (const part of [".tabs", ".programs .python pre"]) {
            const parts = page.locator(part);
            if (await parts.count() > 0 && await parts.isVisible() !== part.endsWith("pre")) {
                report(`${name}, without JavaScript: ${part} is wrong`);
            }
        }
        const contents = page.frameLocator(".sidebar-iframe-outer").locator("a");
        if (await contents.count() < 200) {
            report(`${name}, without JavaScript: there is no table of contents`);
        }
    }
}

// How much there is to load, and how soon a page is seen: the median of nine.
async function weight(page) {
    const files = fs.readdirSync(folder, { recursive: true });
    const sizes = files.filter((name) => /\.(html|css|js|woff2|png|svg)$/.test(name))
        .map((name) => fs.statSync(path.join(folder, name)).size);
    const megabytes = sizes.reduce((sum, size) => sum + size) / 1e6;
    const times = [];
    // This turns the browser's cache off.
    await page.route("**", (route) => route.continue());
    for (let count = 0; count < 9; count++) {
        await page.goto(`${ROOT}concurrency/gather.html`);
        times.push(await page.evaluate(() => new Promise((done) => new PerformanceObserver(
            (list) => list.getEntriesByName("first-contentful-paint").forEach(
                (paint) => done(paint.startTime))).observe({ type: "paint", buffered: true }))));
    }
    const millis = times.sort((a, b) => a - b)[4];
    console.log(`${megabytes.toFixed(1)} MB, first paint after ${millis.toFixed(0)} ms`);
    if (megabytes > MOST_MEGABYTES) {
        report(`${megabytes} MB`);
    }
}

async function keyboard(page) {
    await page.goto(`${ROOT}iterators/generator.html`);
    await page.focus(".copy-file");
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Tab");
    const outline = await page.evaluate(
        () => getComputedStyle(document.activeElement).outlineStyle);
    if (outline === "none") {
        report("the focus is not seen");
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
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press("ArrowRight");
    await page.waitForURL((url) => !url.pathname.endsWith("/generator.html"));
}

// Each part, and the windows in which it looks.
const size = (width, height, more) => ({ viewport: { width, height }, ...more });
const PARTS = [
    [copies, { permissions: ["clipboard-read", "clipboard-write"] }],
    [firstScreen, size(1440, 900), size(390, 844)],
    [tabs, size(1440, 900)],
    [beside, size(1920, 900)],
    [anchors, {}],
    [search, {}],
    [questions, {}],
    [keyboard, size(1440, 900)],
    [withoutScript, { javaScriptEnabled: false }],
    [paper, size(703, 1032, { colorScheme: "dark" })],
    [weight, {}],
    // No size depends on the colours.
    [looks, size(1440, 900), size(1024, 900), size(390, 900), size(390, 900, { colorScheme: "dark" })],
];

async function main() {
    const server = await serve();
    const browser = await chromium.launch({
        executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
        args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update",
            "--disable-sync"],
    });
    const asked = process.argv.slice(3);
    for (const [part, ...windows] of PARTS) {
        if (asked.length === 0 || asked.includes(part.name)) {
            await Promise.all(windows.map((options) => open(browser, options, part)));
        }
    }
    await browser.close();
    server.close();
    problems.forEach((problem) => console.log(problem));
    console.log(`${problems.length} problems`);
    process.exitCode = problems.length > 0 ? 1 : 0;
}

main();
