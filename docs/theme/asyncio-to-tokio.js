// The button that copies the whole file, byte for byte, header and all.
"use strict";

(() => {
    const button = document.querySelector(".copy-file");
    const header = document.getElementById("header");
    const program = document.querySelector(".programs .rust code");
    if (!button) {
        return;
    }
    const said = document.querySelector(".copied");
    button.addEventListener("click", async () => {
        try {
            await navigator.clipboard.writeText(JSON.parse(header.textContent) + program.textContent);
            said.textContent = "Copied";
        } catch {
            said.textContent = "The browser does not let this page copy";
        }
        setTimeout(() => { said.textContent = ""; }, 3000);
    });
})();

// Which of the two programs is shown, as the reader chose last; both by themselves only
// where they fit side by side.
(() => {
    const tabs = document.querySelectorAll(".tabs button");
    const show = (shown) => {
        document.documentElement.dataset.shown = shown;
        tabs.forEach((tab) => tab.setAttribute("aria-pressed", tab.value === shown));
    };
    const fits = document.querySelector("main").clientWidth >= 1450;
    show(saved("shown") ?? (fits ? "both" : "rust"));
    for (const tab of tabs) {
        tab.addEventListener("click", () => {
            show(tab.value);
            try {
                localStorage.setItem("shown", tab.value);
            } catch { /* The choice lasts for this page. */ }
        });
    }
})();

// The program goes to the Rust Playground in the address of the link.
document.querySelector(".run")?.addEventListener("click", ({ target }) => {
    const url = new URL(target.href);
    url.searchParams.set("code", document.querySelector(".programs .rust code").textContent);
    target.href = url;
});

// Whoever types into the box on the first page goes on in the search bar of every page.
document.querySelector(".search input")?.addEventListener("input", ({ target }) => {
    const bar = document.getElementById("mdbook-searchbar");
    if (document.getElementById("mdbook-search-wrapper").classList.contains("hidden")) {
        document.getElementById("mdbook-search-toggle").click();
    }
    bar.value = target.value;
    target.value = "";
    bar.focus();
    bar.setSelectionRange(bar.value.length, bar.value.length);
    bar.dispatchEvent(new Event("keyup"));
});

// A part that is folded opens when a link leads to it.
(() => {
    const open = () => {
        const part = document.getElementById(decodeURIComponent(location.hash.slice(1)));
        if (part?.tagName === "DETAILS") {
            part.open = true;
        }
    };
    addEventListener("hashchange", open);
    open();
})();

// The timeline of the Rust program, drawn from its transcript: a lane for each task, and a mark
// for each time at which it prints.
(() => {
    const box = document.querySelector(".timeline-box");
    const draw = (parent, name, attributes, text) => {
        const it = document.createElementNS("http://www.w3.org/2000/svg", name);
        Object.entries(attributes).forEach((attribute) => it.setAttribute(...attribute));
        it.textContent = text ?? "";
        return parent.appendChild(it);
    };
    const lanes = new Map();
    let end = 0;
    for (const { cells: [time, task, line] } of box ? document.querySelector(".transcript").tBodies[0].rows : []) {
        end = parseFloat(time.lastChild?.data) || end;
        if (task.textContent) {
            const lane = lanes.get(task.textContent) ?? new Map();
            lanes.set(task.textContent, lane.set(end, [...lane.get(end) ?? [], line.textContent]));
        }
    }
    if (!lanes.size) {
        return;
    }
    const bottom = lanes.size * 34 + 4;
    const at = (time) => `${(2 + 94 * time / (end || 1)).toFixed(2)}%`;
    const svg = draw(box, "svg", { class: "timeline", role: "img", width: "100%", height: bottom + 22, "aria-label": "The tasks of the transcript above, and when they print" });
    const step = [0.001, 0.01, 0.1, 1, 10, 100, 1e3, 1e4, 1e5, 1e6].flatMap((it) => [it, 2 * it, 5 * it]).find((it) => end / it <= 5);
    for (let time = 0; time <= end + 1e-9; time += step) {
        draw(svg, "line", { class: "tick", x1: at(time), x2: at(time), y1: 0, y2: bottom });
        draw(svg, "text", { class: "time", x: at(time), y: bottom + 16 }, `${parseFloat(time.toFixed(3))} s`);
    }
    [...lanes].forEach(([task, lane], index) => {
        const middle = index * 34 + 22;
        const times = task === "main" ? [0, end] : [...lane.keys()];
        draw(svg, "text", { class: "lane", x: 0, y: middle - 10 }, task);
        draw(svg, "line", { class: "span", x1: at(times[0]), x2: at(times.at(-1)), y1: middle, y2: middle });
        for (const [time, lines] of lane) {
            const mark = draw(svg, "g", { class: "mark" });
            draw(mark, "title", {}, `${time.toFixed(3)} s: ${lines.join("\n")}`);
            draw(mark, "circle", { cx: at(time), cy: middle, r: lines.length > 1 ? 8 : 5 });
            draw(mark, "text", { class: "count", x: at(time), y: middle + 4 }, lines.length > 1 ? lines.length : "");
        }
    });
})();

// The commands break between their words, not after a hyphen.
for (const code of document.querySelectorAll(".take pre > code")) {
    code.innerHTML = code.innerHTML.replace(/[^\s<>]+(?![^<]*>)/g, "<span>$&</span>");
}

// In a narrow window the cells of a row stand below each other, each with the name of its column.
for (const { tHead, tBodies } of document.querySelectorAll("main table:not([class])")) {
    for (const cell of [...tBodies].flatMap((body) => [...body.rows]).flatMap((row) => [...row.cells])) {
        cell.dataset.column = tHead.rows[0].cells[cell.cellIndex].textContent;
    }
}

// What scrolls within itself can be scrolled by keyboard too.
for (const block of document.querySelectorAll("main pre > code, .timeline-box")) {
    if (block.scrollWidth > block.clientWidth || block.scrollHeight > block.clientHeight) {
        block.tabIndex = 0;
    }
}

// mdBook shows and hides the table of contents by a label, which no key reaches.
(() => {
    const toggle = document.getElementById("mdbook-sidebar-toggle");
    toggle.setAttribute("aria-expanded", is_open);
    document.getElementById("mdbook-sidebar").setAttribute("aria-hidden", !is_open);
    toggle.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
            event.preventDefault();
            toggle.click();
        }
    });
})();
