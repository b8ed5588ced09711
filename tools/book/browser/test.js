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

// No server: each request is answered from the folder. A browser trusts this host with the
// clipboard.
const ROOT = "http://localhost/";
const WIDTHS = [1440, 1024, 390];
const THEMES = ["light", "dark"];
const PAGES = [
    "index.html", "by-name.html", "by-question.html", "by-section.html",
    "by-difference.html", "by-library.html", "by-message.html", "by-guide.html", "speed.html",
    "traps.html", "crates.html", "exercises.html", "sheet.html", "editors-and-agents.html",
    "iterators/generator.html", "concurrency/gather.html",
    "basics/blocking_vs_async.html", "real-world/ttl_cache.html",
];
// Of pages, styles, scripts and fonts; what agents read is not in it.
const MOST_MEGABYTES = 15;
// What the first screen of an example shows, in whatever window.
const FIRST = [".name", ".copy-file", ".take pre", ".answer > p", ".box.trap", ".tabs"];
const SCREENS = [{ width: 1440, height: 900 }, { width: 390, height: 844 }];
// Each example's page.
const EXAMPLES = fs.readdirSync(`${repository}/crates`).flatMap((section) =>
    fs.readdirSync(`${repository}/crates/${section}/src`).filter((file) =>
        file.endsWith(".rs") && fs.existsSync(path.join(folder, section, `${path.parse(file).name}.html`)))
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

// Opens a page that gets the files of the folder, and nothing else.
async function open(browser, options) {
    const context = await browser.newContext(options);
    await context.route("**", (route) => {
        const url = new URL(route.request().url());
        if (!url.href.startsWith(ROOT)) {
            report(`asks another host: ${url}`);
            return route.abort();
        }
        const file = path.join(folder, decodeURIComponent(url.pathname));
        return route.fulfill(fs.existsSync(file) ? { path: file } : { status: 404 });
    });
    const page = await context.newPage();
    page.on("console", (message) => {
        if (message.type() === "error") {
            report(`${page.url()}: on the console: ${message.text()}`);
        }
    });
    page.on("pageerror", (error) => report(`${page.url()}: ${error.message}`));
    return page;
}

async function looks(browser) {
    for (const theme of THEMES) {
        // All widths at once, each in a process of its own. No size depends on the theme.
        const widths = WIDTHS.filter((width) => theme === "light" || width === WIDTHS[2]);
        await Promise.all(widths.map(async (width) => {
            const viewport = { width, height: 900 };
            const page = await open(browser, { viewport, colorScheme: theme });
            for (const name of PAGES) {
                await page.goto(ROOT + name);
                const where = `${name}, ${width} pixels, ${theme}`;
                const wide = await page.evaluate(
                    () => document.documentElement.scrollWidth - window.innerWidth);
                if (wide > 0) {
                    report(`${where}: ${wide} pixels wider than the window`);
                }
                const small = await page.evaluate(() =>
                    [...document.querySelectorAll("main code, main td")].filter(
                        (part) => parseFloat(getComputedStyle(part).fontSize) < 11).length);
                if (small > 0) {
                    report(`${where}: ${small} parts are too small to read`);
                }
                // It takes long for long pages: light and wide, and dark and narrow.
                if ((theme === "light") !== (width === WIDTHS[0])) {
                    continue;
                }
                await page.evaluate(axe);
                const { violations } = await page.evaluate(
                    () => axe.run({ resultTypes: ["violations"] }));
                for (const { id, impact, nodes } of violations) {
                    if (impact === "minor") {
                        continue;
                    }
                    const [first] = nodes;
                    report(`${where}: ${id}, ${nodes.length} times: ${first.html} ` +
                        first.failureSummary.replace(/\s+/g, " "));
                }
            }
            await page.context().close();
        }));
    }
}

async function copies(browser) {
    const permissions = ["clipboard-read", "clipboard-write"];
    const page = await open(browser, { permissions });
    for (const id of EXAMPLES) {
        const [section, name] = id.split("/");
        await page.goto(`${ROOT}${id}.html`);
        await page.click(".copy-file");
        await page.waitForFunction(
            () => document.querySelector(".copied").textContent === "Copied");
        const text = await page.evaluate(() => navigator.clipboard.readText());
        const file = `${repository}/crates/${section}/src/${name}.rs`;
        if (text !== fs.readFileSync(file, "utf8")) {
            report(`${id}: the clipboard does not hold the file`);
        }
    }
    await page.context().close();
}

async function firstScreen(browser) {
    for (const viewport of SCREENS) {
        const page = await open(browser, { viewport });
        for (const name of PAGES.filter((name) => name.includes("/"))) {
            await page.goto(ROOT + name);
            for (const part of FIRST) {
                const box = await page.locator(part).first().boundingBox();
                if (!box || box.y + box.height > viewport.height) {
                    report(`${name}, ${viewport.width} pixels: ${part} is not in sight`);
                }
            }
        }
        await page.context().close();
    }
}

// Each program by itself, and both beside each other where neither has to be scrolled. The
// next page shows what was chosen last.
async function tabs(browser) {
    const page = await open(browser, { viewport: { width: 1440, height: 900 } });
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
    await page.context().close();
    const wide = await open(browser, { viewport: { width: 1920, height: 900 } });
    await wide.goto(`${ROOT}concurrency/gather.html`);
    const [rust, python] = await Promise.all(["rust", "python"].map(
        (program) => wide.locator(`.programs > .${program}`).boundingBox()));
    if (!rust || !python || rust.y !== python.y) {
        report("1920 pixels: the programs do not stand beside each other");
    }
    const long = await wide.evaluate(() => [...document.querySelectorAll(".programs code")]
        .filter((code) => code.scrollWidth > code.clientWidth).length);
    if (long > 0) {
        report(`1920 pixels: ${long} programs have to be scrolled sideways`);
    }
    await wide.context().close();
}

// A line of the transcript and the statements that print it mark each other.
async function ties(browser) {
    const page = await open(browser, { viewport: { width: 1920, height: 900 } });
    const said = page.locator(".tied-lines");
    const expect = async (how, ...texts) => {
        const text = await said.textContent();
        const bands = await page.locator("i.tied").count();
        if (bands !== 2 || texts.some((part) => !text.includes(part))) {
            report(`${how}: marks ${bands} lines and says: ${text}`);
        }
    };
    const rust = 'rust: println!("Fetched data {id}");';
    const python = 'python: print(f"Fetched data {id}")';
    await page.goto(`${ROOT}concurrency/gather.html`);
    await page.locator("tr", { hasText: "Fetched data 2" }).hover();
    await expect("a line of the transcript", rust, python);
    const code = page.locator(".programs .python pre > code");
    await code.scrollIntoViewIfNeeded();
    const line = (await code.textContent()).split("\n").findIndex((it) => it.includes("Fetched"));
    const { x, y } = await code.boundingBox();
    const [high, top] = await code.evaluate((it) =>
        ["lineHeight", "paddingTop"].map((name) => parseFloat(getComputedStyle(it)[name])));
    await page.mouse.move(x + 50, y + top + (line + 0.5) * high);
    await expect("a line of Python", rust, python, "0.300  Fetched data 3");
    await page.mouse.move(0, 0);
    await page.focus("tr[data-at]");
    await page.keyboard.press("ArrowDown");
    await expect("the arrow keys", rust, python, "0.100  Fetched data 2");
    await page.context().close();
}

async function anchors(browser) {
    const page = await open(browser, {});
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
    await page.context().close();
}

async function search(browser) {
    const page = await open(browser, {});
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
        await page.fill("#mdbook-searchbar", "");
        await page.fill("#mdbook-searchbar", name);
        await page.press("#mdbook-searchbar", "Shift");
        await page.waitForFunction((name) =>
            document.querySelector("#mdbook-searchresults-header").textContent
                .includes(`'${name}'`), name);
        const links = page.locator("#mdbook-searchresults a");
        const targets = await links.evaluateAll(
            (all) => all.slice(0, 3).map((link) => link.getAttribute("href")));
        const end = `by-name.html?highlight=${encodeURIComponent(name)}#${heading}`;
        if (!targets.some((target) => target.endsWith(end))) {
            report(`search for ${name} leads to ${targets}`);
        }
    }
    // By keyboard alone, from the search to the page.
    await page.press("#mdbook-searchbar", "Enter");
    await page.waitForURL(/\?highlight=/);
    await page.context().close();
}

// On A4: the sheet fits on two pages, and a page shows all its parts and nothing beside them.
async function paper(browser) {
    const page = await open(browser, { viewport: { width: 703, height: 1032 }, colorScheme: "dark" });
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
    await page.context().close();
}

// The first questions of the table, word for word: the best example is among the first five.
async function questions(browser) {
    const page = await open(browser, {});
    const table = fs.readFileSync(`${repository}/docs/questions.tsv`, "utf8");
    const rows = table.trim().split("\n").slice(1).map((row) => row.split("\t"));
    const step = Math.ceil(rows.length / 100);
    const missed = [];
    await page.goto(`${ROOT}index.html`);
    await page.keyboard.press("/");
    for (const [question, examples] of rows.filter((_, number) => number % step === 0)) {
        await page.fill("#mdbook-searchbar", "");
        await page.fill("#mdbook-searchbar", question);
        await page.press("#mdbook-searchbar", "Shift");
        await page.waitForFunction((question) =>
            document.querySelector("#mdbook-searchresults-header").textContent
                .includes(`'${question}'`), question.trim());
        const links = await page.locator("#mdbook-searchresults a").evaluateAll(
            (all) => all.slice(0, 5).map((link) => link.getAttribute("href")));
        const name = examples.split(" ")[0].split("/").pop();
        if (!links.some((link) => link.includes(`/${name}.html`))) {
            missed.push(`${question} (${links})`);
        }
    }
    if (missed.length > 0) {
        report(`the search does not answer ${missed.length} questions: ${missed.join("; ")}`);
    }
    await page.context().close();
}

// Without JavaScript nothing is missing but the search: both programs, the parts, the contents.
async function withoutScript(browser) {
    const page = await open(browser, { javaScriptEnabled: false });
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
    await page.context().close();
}

// How much there is to load, and how soon a page is seen: the median of nine.
async function weight(browser) {
    const files = fs.readdirSync(folder, { recursive: true });
    const sizes = files.filter((name) => /\.(html|css|js|woff2|png|svg)$/.test(name))
        .map((name) => fs.statSync(path.join(folder, name)).size);
    const megabytes = sizes.reduce((sum, size) => sum + size) / 1e6;
    const times = [];
    for (let count = 0; count < 9; count++) {
        const page = await open(browser, {});
        await page.goto(`${ROOT}concurrency/gather.html`);
        times.push(await page.evaluate(() => new Promise((done) => new PerformanceObserver(
            (list) => list.getEntriesByName("first-contentful-paint").forEach(
                (paint) => done(paint.startTime))).observe({ type: "paint", buffered: true }))));
        await page.context().close();
    }
    const millis = times.sort((a, b) => a - b)[4];
    console.log(`${megabytes.toFixed(1)} MB, first paint after ${millis.toFixed(0)} ms`);
    if (megabytes > MOST_MEGABYTES) {
        report(`${megabytes} MB`);
    }
}

async function keyboard(browser) {
    const page = await open(browser, { viewport: { width: 1440, height: 900 } });
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
    await page.context().close();
}

async function main() {
    const browser = await chromium.launch({
        executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
        args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update",
            "--disable-sync"],
    });
    const parts = { copies, firstScreen, tabs, ties, anchors, search, questions, keyboard, withoutScript, paper, weight, looks };
    const asked = process.argv.slice(3);
    for (const [name, part] of Object.entries(parts)) {
        if (asked.length === 0 || asked.includes(name)) {
            await part(browser);
        }
    }
    await browser.close();
    problems.forEach((problem) => console.log(problem));
    console.log(`${problems.length} problems`);
    process.exitCode = problems.length > 0 ? 1 : 0;
}

main();
