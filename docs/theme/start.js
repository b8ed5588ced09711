// Sets the theme and shows the table of contents before anything is drawn. mdBook's own script
// goes on with these names.
"use strict";

const saved = (name) => {
    try {
        return localStorage.getItem(name);
    } catch { // Not from a file, in some browsers.
        return null;
    }
};
const default_theme = matchMedia("(prefers-color-scheme: dark)").matches
    ? default_dark_theme : default_light_theme;
const chosen = saved("mdbook-theme");
const theme = ["light", "navy"].includes(chosen) ? chosen : default_theme;
document.documentElement.classList.remove(default_light_theme);
document.documentElement.classList.add(theme, "js");
const is_open = document.body.clientWidth >= 1080 && saved("mdbook-sidebar") !== "hidden";
document.getElementById("mdbook-sidebar-toggle-anchor").checked = is_open;
document.documentElement.classList.toggle("sidebar-visible", is_open);
window.playground_copyable = true;
window.path_to_searchindex_js = `${path_to_root}search-index.js`;

// What the bar has for those with JavaScript: written once, and not on each page.
const parts = {
    "book-buttons": `
        <button id="mdbook-theme-toggle" class="icon-button" type="button" aria-haspopup="true"
            aria-expanded="false" aria-controls="mdbook-theme-list">Theme</button>
        <ul id="mdbook-theme-list" class="theme-popup" aria-label="Themes" role="menu">
        ${[["default_theme", "Auto"], ["light", "Light"], ["navy", "Dark"]].map(([name, title]) => `
            <li role="none"><button role="menuitem" class="theme" id="mdbook-theme-${name}">${title}
            </button></li>`).join("")}
        </ul>
        <button id="mdbook-search-toggle" class="icon-button" type="button" aria-expanded="false"
            aria-keyshortcuts="/ s" aria-controls="mdbook-searchbar">Search</button>`,
    "book-search": `
        <div id="mdbook-search-wrapper" class="hidden">
        <form id="mdbook-searchbar-outer" class="searchbar-outer">
        <input type="search" id="mdbook-searchbar" placeholder="Search: gather, mpsc, not Send"
            aria-label="Search this book" aria-controls="mdbook-searchresults-outer">
        </form>
        <div id="mdbook-searchresults-outer" class="searchresults-outer hidden">
        <div role="status" id="mdbook-searchresults-header" class="searchresults-header"></div>
        <ul id="mdbook-searchresults"></ul>
        </div>
        </div>
        <div id="mdbook-help-container"><div id="mdbook-help-popup"><p><kbd>←</kbd> <kbd>→</kbd> other
        pages, <kbd>S</kbd> <kbd>/</kbd> search, <kbd>Esc</kbd> hide this</p></div></div>`,
};
for (const [name, html] of Object.entries(parts)) {
    customElements.define(name, class extends HTMLElement {
        connectedCallback() {
            this.innerHTML = html;
        }
    });
}
