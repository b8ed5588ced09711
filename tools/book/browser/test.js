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

// Where the book thinks that it is. Nothing listens there: see `open`.
const BASE = fs.readFileSync(`${folder}/404.html`, "utf8").match(/<base href="(.*?)">/)[1];
const ROOT = new URL(BASE, "http://localhost").href;
const PAGES = [
    "index.html", "by-name.html", "by-question.html", "by-section.html",
    "by-difference.html", "by-library.html", "by-message.html", "by-guide.html", "speed.html",
    "traps.html", "crates.html", "sheet.html", "editors-and-agents.html",
    "iterators/generator.html", "concurrency/gather.html",
    "basics/blocking_vs_async.html", "real-world/ttl_cache.html",
];
// What is typed, and what the search finds among the first three: the address, and what is
// said of it. That each name and question leads to its example is tested with `find`, which is
// the same program.
const FOUND = [
    ["as_completed", /by-name.html.*#asyncio.as_completed$/, "Python: asyncio.as_completed = "],
    ["asyncio.Queue.put_nowait", /by-name.html.*#asyncio.Queue.put_nowait$/, "Python: "],
    ["gathr", /by-name.html.*#asyncio.gather$|gather/, "gather"],
    ["asyncio.create_taks", /spawn_tasks.html/, ""],
    ["tokio::select!", /select_in_a_loop.html/, ""],
    ["T289", /ttl_cache.html.*#T289$/, "T289: "],
    ["cannot start a runtime from within a runtime", /call_async_from_sync.html/, "message: Cannot "],
    ["httpx", /by-library.html.*#httpx$/, "Python: httpx = "],
    ["How do I limit concurrency?", /limit_concurrency.html/, ""],
    ["which channel", /which-one.html/, ""],
    ["guide 3", /guide-3.html/, "Guide 3"],
];

const MOST_BYTES = 20_500_000;
const problems = [];
const report = (what) => problems.push(what);

// Opens a page that gets its files from the folder, and looks at it. It may ask no other host.
async function open(browser, options, look) {
    const context = await browser.newContext(options);
    await context.route("**", (route) => {
        const [url] = route.request().url().split(/[?#]/);
        const file = path.join(folder, decodeURIComponent(url.slice(ROOT.length)));
        const isThere = url.startsWith(ROOT) && fs.existsSync(file);
        if (!isThere && route.request().resourceType() !== "document") {
            report(`asks for what is not in the book: ${url}`);
            return route.abort();
        }
        return route.fulfill({ path: isThere ? file : `${folder}/404.html` });
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

// Axe finds nothing that keeps people out.
async function looks(page, { viewport: { width }, colorScheme = "light" }) {
    for (const name of PAGES) {
        await page.goto(ROOT + name);
        await page.evaluate(axe);
        const { violations } = await page.evaluate(
            () => axe.run({ resultTypes: ["violations"] }));
        for (const { id, nodes } of violations.filter(({ impact }) => impact !== "minor")) {
            const [first] = nodes;
            report(`${name}, ${width} pixels, ${colorScheme}: ${id}, ${nodes.length} times: ` +
                `${first.html} ${first.failureSummary.replace(/\s+/g, " ")}`);
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

// The whole book is small enough to take along.
function weight() {
    const files = fs.readdirSync(folder, { recursive: true }).map((name) => fs.statSync(`${folder}/${name}`));
    const bytes = files.filter((it) => it.isFile()).reduce((sum, it) => sum + it.size, 0);
    if (bytes > MOST_BYTES) {
        report(`the book has ${bytes} bytes, more than ${MOST_BYTES}`);
    }
}

// Nothing is wider than its place. The text has a scroll bar of its own, so the window does not
// get wider.
const tooWide = (page) => page.evaluate(() => Math.max(
    document.documentElement.scrollWidth - window.innerWidth,
    ...[...document.querySelectorAll(".content, main")].map(
        (part) => part.scrollWidth - part.clientWidth)));

// No page is too wide, no table breaks its words into letters, and the answer leaves room for the
// program on the first screen of nine of ten examples.
async function layout(page, { viewport: { width } }) {
    const limit = width < 1000 ? 850 : 700;
    const low = [];
    const examples = drawn(30);
    for (const name of [...PAGES, ...examples]) {
        await page.goto(ROOT + name);
        const wide = await tooWide(page);
        const [narrow, top] = await page.evaluate(() => [
            [...document.querySelectorAll("main table:not(.transcript) td")].filter(
                (cell) => cell.clientWidth < 70 && cell.clientHeight > 70).length,
            document.querySelector(".programs pre code")?.getBoundingClientRect().top]);
        if (wide > 0 || narrow > 0) {
            report(`${name}, ${width} pixels: ${wide} too wide, ${narrow} narrow cells`);
        }
        if (examples.includes(name) && top > limit) {
            low.push(`${name} at ${Math.round(top)}`);
        }
    }
    if (low.length > examples.length / 10) {
        report(`${width} pixels: the program begins below ${limit} on ${low.length} of ` +
            `${examples.length} pages: ${low.join(", ")}`);
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

// What is typed finds the page, says what it has found, and is announced.
async function search(page) {
    await page.goto(`${ROOT}index.html`);
    await page.focus(".search input");
    await page.keyboard.type("gather");
    await page.waitForSelector("#mdbook-searchresults a");
    for (const [words, address, text] of FOUND) {
        await page.fill("#mdbook-searchbar", words);
        await page.press("#mdbook-searchbar", "Shift");
        await page.locator("[role=status]", { hasText: `'${words}'` }).waitFor();
        const links = await page.locator("#mdbook-searchresults a").evaluateAll((all) =>
            all.slice(0, 3).map((link) => [link.getAttribute("href"), link.textContent]));
        if (!links.some(([href, said]) => address.test(href) && said.includes(text))) {
            report(`search for ${words} leads to ${links.join("; ")}`);
        }
    }
    // By keyboard alone, from the search to the page.
    await page.press("#mdbook-searchbar", "Enter");
    await page.waitForURL(/\?highlight=/);
}

// A page that is not there leads back into the book, from any depth.
async function notFound(page) {
    await page.goto(`${ROOT}no/such/page.html`);
    await page.locator("#mdbook-sidebar a").first().click();
    await page.waitForURL(`${ROOT}front.html`);
}

// The first page shows a pair of programs with its transcript.
async function front(page, { viewport: { width, height } }) {
    await page.goto(`${ROOT}index.html`);
    const bottoms = await page.locator(".pair > *").evaluateAll((parts) =>
        parts.map((part) => part.getBoundingClientRect().bottom));
    if (bottoms.length !== 3 || bottoms.some((bottom) => bottom > height)) {
        report(`the front page at ${width}: its programs and lines end at ${bottoms}`);
    }
}

// The program goes to the Rust Playground whole, in an address that servers take.
async function run(page) {
    const withRun = drawn(60).filter((name) =>
        fs.readFileSync(`${folder}/${name}`, "utf8").includes('class="run"'));
    for (const name of withRun) {
        await page.goto(ROOT + name);
        const [address, program] = await page.evaluate(() => {
            const link = document.querySelector(".run");
            addEventListener("click", (event) => event.preventDefault());
            link.click();
            return [link.href, document.querySelector(".programs .rust code").textContent];
        });
        if (new URL(address).searchParams.get("code") !== program || address.length > 8000) {
            report(`${name}: Run has ${address.length} characters, or another program`);
        }
    }
    if (withRun.length === 0) {
        report("no page can be run");
    }
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
        const wide = await tooWide(page);
        if (wide > 0) {
            report(`${name}, printed: ${wide} pixels too wide`);
        }
    }
}

// Without JavaScript nothing is missing but the search and the timeline, and no button is dead.
async function withoutScript(page) {
    for (const name of PAGES.filter((name) => name.includes("/"))) {
        await page.goto(ROOT + name);
        for (const part of [".programs .rust pre", ".transcript", "#mdbook-content"]) {
            if (!await page.locator(part).first().isVisible()) {
                report(`${name}, without JavaScript: ${part} is not seen`);
            }
        }
        for (const button of await page.locator("main :is(button, .run, .timeline-box)").all()) {
            if (await button.isVisible()) {
                report(`${name}, without JavaScript: ${await button.textContent()} does nothing`);
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
    for (const key of ["Tab", "Enter", "Tab"]) {
        await page.keyboard.press(key);
    }
    if (!await page.evaluate(() => document.querySelector("main").contains(document.activeElement))) {
        report("the first key does not skip to the text");
    }
    const [lanes, marks] = await page.locator(".timeline").evaluate((svg) =>
        [".lane", ".mark"].map((part) => svg.querySelectorAll(part).length));
    if (lanes === 0 || marks < lanes) {
        report(`the timeline has ${lanes} lanes and ${marks} marks`);
    }
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
const WIDTHS = [390, 640, 768, 1024, 1280, 1366, 1440, 1920];
const PARTS = [
    [copies, { permissions: ["clipboard-read", "clipboard-write"] }],
    [search, {}],
    [notFound, {}],
    [front, size(1280, 720), size(1440, 900)],
    [run, {}],
    [keyboard, size(1440, 900)],
    [withoutScript, { javaScriptEnabled: false }],
    [paper, size(703, 1032, { colorScheme: "dark" })],
    [layout, ...WIDTHS.map((width) => size(width, 800))],
    [looks, size(1440, 900), size(390, 900, { colorScheme: "dark" })],
];

async function main() {
    const browser = await chromium.launch({
        executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
        args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
    });
    weight();
    const asked = process.argv.slice(3);
    for (const [part, ...windows] of PARTS) {
        if (asked.length === 0 || asked.includes(part.name)) {
            await Promise.all(windows.map((options) => open(browser, options, part)
                .catch((error) => report(`${part.name}: ${error.message}`))));
        }
    }
    await browser.close();
    problems.forEach((problem) => console.log(problem));
    console.log(`${problems.length} problems`);
    process.exitCode = problems.length > 0 ? 1 : 0;
}

main();
