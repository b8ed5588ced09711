// The button that copies the whole file, byte for byte, header and all.
"use strict";

(() => {
    const button = document.querySelector(".copy-file");
    const file = document.getElementById("file");
    if (!button || !file) {
        return;
    }
    const said = document.querySelector(".copied");
    button.addEventListener("click", async () => {
        try {
            await navigator.clipboard.writeText(JSON.parse(file.textContent));
            said.textContent = "Copied";
        } catch {
            said.textContent = "The browser does not let this page copy";
        }
        setTimeout(() => { said.textContent = ""; }, 3000);
    });
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
