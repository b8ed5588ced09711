// The book in a real browser: node test.js FOLDER. It says what is wrong, and ends with
// exit code 1 if anything is. CHROMIUM names the browser (default: /usr/bin/chromium).
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
    "by-difference.html", "by-message.html", "by-guide.html", "speed.html",
    "traps.html", "crates.html", "iterators/generator.html", "concurrency/gather.html",
    "basics/blocking_vs_async.html", "real-world/ttl_cache.html",
];
// What the first screen of an example shows, in whatever window.
const FIRST = [".name", ".copy-file", ".take pre", ".answer > p", ".box.trap", ".tabs"];
const SCREENS = [{ width: 1440, height: 900 }, { width: 390, height: 844 }];
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
        for (const width of WIDTHS) {
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
                await page.evaluate(axe);
                const { violations } = await page.evaluate(() => axe.run(
                    document,
                    { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] }));
                for (const { id, nodes } of violations) {
                    const [first] = nodes;
                    report(`${where}: ${id}, ${nodes.length} times: ${first.html} ` +
                        first.failureSummary.replace(/\s+/g, " "));
                }
            }
            await page.context().close();
        }
    }
}

async function copies(browser) {
    const permissions = ["clipboard-read", "clipboard-write"];
    const page = await open(browser, { permissions });
    for (const id of ["iterators/generator", "concurrency/gather", "real-world/ttl_cache"]) {
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
    await page.waitForURL(/recursive_generator\.html/);
    await page.context().close();
}

async function main() {
    const browser = await chromium.launch({
        executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
        args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update",
            "--disable-sync"],
    });
    await copies(browser);
    await firstScreen(browser);
    await tabs(browser);
    await anchors(browser);
    await search(browser);
    await keyboard(browser);
    await looks(browser);
    await browser.close();
    problems.forEach((problem) => console.log(problem));
    console.log(`${problems.length} problems`);
    process.exitCode = problems.length > 0 ? 1 : 0;
}

main();
