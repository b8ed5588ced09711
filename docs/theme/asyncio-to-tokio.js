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
