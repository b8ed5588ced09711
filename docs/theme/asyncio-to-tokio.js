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
// where they fit beside each other.
(() => {
    const tabs = document.querySelectorAll(".tabs button");
    const show = (shown) => {
        document.documentElement.dataset.shown = shown;
        tabs.forEach((tab) => tab.setAttribute("aria-pressed", tab.value === shown));
    };
    let chosen = null;
    try {
        chosen = localStorage.getItem("shown");
    } catch { /* Not from a file, in some browsers. */ }
    const fits = document.querySelector("main").clientWidth >= 1450;
    show(chosen ?? (fits ? "both" : "rust"));
    for (const tab of tabs) {
        tab.addEventListener("click", () => {
            show(tab.value);
            try {
                localStorage.setItem("shown", tab.value);
            } catch { /* The choice lasts for this page. */ }
        });
    }
})();

// On a phone, what is worth less than the programs is folded.
(() => {
    const more = document.querySelector(".more");
    if (more && matchMedia("(max-width: 600px)").matches) {
        more.open = false;
    }
})();

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

// Pointing at a line of the transcript marks the lines of the programs that print it, and the
// other way round. In the transcript the arrow keys go from line to line.
(() => {
    const rows = [...document.querySelectorAll("tr[data-at]")];
    const codes = {
        rust: document.querySelector(".programs .rust pre > code"),
        demo: document.querySelector("#demonstration pre > code"),
        python: document.querySelector(".programs .python pre > code"),
    };
    const said = document.createElement("p");
    said.className = "tied-lines";
    document.body.append(said);
    const places = (row) => row.dataset.at.split(" ");
    const size = (code) => {
        const { lineHeight, paddingTop } = getComputedStyle(code);
        return { high: parseFloat(lineHeight), top: parseFloat(paddingTop) };
    };
    const show = (shown) => {
        document.querySelectorAll("i.tied").forEach((band) => band.remove());
        rows.forEach((row) => row.classList.toggle("tied", shown.includes(row)));
        const texts = [...new Set(shown.flatMap(places))].map((place) => {
            const [name, number] = place.split(":");
            const code = codes[name];
            const { high, top } = size(code);
            const band = document.createElement("i");
            band.className = "tied";
            band.style.cssText = `top: ${code.offsetTop + top + number * high}px; height: ${high}px`;
            code.parentElement.append(band);
            return `${name}: ${code.textContent.split("\n")[number].trim()}`;
        });
        const lines = shown.slice(0, 5).map(({ cells }) =>
            `${cells[0].textContent}  ${cells[cells.length - 1].textContent}`);
        said.textContent = [...texts, ...lines].join("\n");
    };
    rows.forEach((row, index) => {
        row.tabIndex = index === 0 ? 0 : -1;
        row.addEventListener("pointerenter", () => show([row]));
        row.addEventListener("pointerleave", () => show([]));
        row.addEventListener("focus", () => show([row]));
        row.addEventListener("blur", () => show([]));
        row.addEventListener("keydown", (event) => {
            const next = rows[index + { ArrowUp: -1, ArrowDown: 1 }[event.key]];
            if (next) {
                event.preventDefault();
                next.focus();
            }
        });
    });
    for (const [name, code] of Object.entries(codes)) {
        code?.addEventListener("pointermove", ({ clientY }) => {
            const { high, top } = size(code);
            const number = Math.floor((clientY - code.getBoundingClientRect().top - top) / high);
            show(rows.filter((row) => places(row).includes(`${name}:${number}`)));
        });
        code?.addEventListener("pointerleave", () => show([]));
    }
})();

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

// What scrolls within itself can be scrolled by keyboard too.
for (const block of document.querySelectorAll("main pre > code, .timeline-box")) {
    if (block.scrollWidth > block.clientWidth) {
        block.tabIndex = 0;
    }
}

// mdBook shows and hides the table of contents by a label, which no key reaches.
(() => {
    const toggle = document.getElementById("mdbook-sidebar-toggle");
    toggle.setAttribute("role", "button");
    toggle.tabIndex = 0;
    toggle.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
            event.preventDefault();
            toggle.click();
        }
    });
})();
