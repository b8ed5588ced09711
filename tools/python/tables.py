"""What the tables and the headers of the examples say, for `port`."""

import csv
import functools
import json
import re
import tomllib
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Of crates whose names are words of a sentence as well, or that show in other names.
WORDS_OF_CRATES = {
    "bytes": r"\bBytes(Mut)?\b",
    "notify": r"\bnotify::",
    "tokio-util": r"tokio_util|CancellationToken|TaskTracker|DelayQueue|Framed|Decoder",
    "futures": r"\bfutures|StreamExt|FuturesUnordered|FutureExt|join_all|\.next\(\)",
}


def rows(path):
    with open(ROOT / path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def toml(path):
    return tomllib.loads((ROOT / path).read_text(encoding="utf-8"))


class Tables:
    """What the tables and the headers of the examples say."""

    def __init__(self):
        workspace = toml("Cargo.toml")["workspace"]
        self.versions, self.dependencies = workspace["dependencies"], {}
        # Of each example its first line and its traps; of each name its examples.
        self.summary, self.traps, self.shown = {}, defaultdict(list), defaultdict(list)
        self.headers = {}
        self.numbers, self.plain = defaultdict(list), {}
        for row in rows("docs/questions.tsv"):
            if asked := re.match(r"(?:Where (?:is|are)|What replaces) (.+)\?$", row["question"]):
                # `port` leads to examples: a heading of a chapter has no program to build from.
                ids = [id for id in row["examples"].split() if "/" in id]
                for name in re.split(r",? and |,? or |, ", asked[1]) if ids else ():
                    self.plain.setdefault(self.bare(name), ids[0])
        for row in rows("docs/traps.tsv"):
            self.numbers[row["example"]].append(row["number"])
        for member in workspace["members"]:
            if member.startswith("crates/"):
                self.section(member, member.removeprefix("crates/"))
        self.entries = {}
        for row in rows("docs/asyncio-api.tsv"):
            name, own = row["name"], row["category"] in ("language", "builtins")
            kind = "asyncio" if re.match(r"asyncio|loop", name) else "library"
            self.entries[name] = {
                "kind": "language" if own else kind,
                "status": row["status"],
                "text": row["rust_equivalent"],
                "examples": [*dict.fromkeys(self.examples(name) + row["examples"].split())],
            }
        for row in rows("docs/neighbours.tsv"):
            self.entries[row["name"]] = {
                "kind": "library",
                "status": "direct" if row["crate"] == "std" else "crate",
                "text": f"{row['crate'].replace(' ', ', ')}. {row['differs']}.",
                "examples": row["examples"].split(),
                "crates": row["crate"].split(),
                "kept": row["kept"],
                "part": self.part(row),
            }
        for row in rows("docs/port-patterns.tsv"):
            entry = {"text": row["meaning"], "examples": row["examples"].split()}
            self.entries[row["pattern"]] = {"kind": "pattern", "status": "differs"} | entry
        # Of each name all clauses of asyncio's contract.
        self.clauses, asked = defaultdict(list), ""
        for row in rows("docs/contract.tsv"):
            # `The same with ...` follows the clause that it is about.
            is_same = row["clause"].startswith("The same")
            asked = asked if is_same else row["clause"]
            row["asked"] = f"{asked} {row['clause']}" if is_same else asked
            self.clauses[row["name"]].append(row)
        self.types = {"call": {}, "value": {}, "parent": {}, "by name": {}}
        for row in rows("tools/python/port_types.tsv"):
            types = [None if it == "-" else it for it in row["type"].split()]
            of_name = {"by name": {row["type"]: row["name"]}, "parent": {row["name"]: types}}
            types = types[0] if len(types) == 1 else tuple(types)
            self.types[row["what"]] |= of_name.get(row["what"], {row["name"]: types})
        # `asyncio.run(debug=)`: the row of a call with this argument.
        self.variants = defaultdict(list)
        for name in self.entries:
            if found := re.fullmatch(r"([\w.]+)\((\w+)(=?)(\w*)\)", name):
                self.variants[found[1]].append((name, *found.groups()[1:]))

    def section(self, member, section):
        manifest = toml(f"{member}/Cargo.toml")
        tests = manifest.get("dev-dependencies", {})
        crates = (tests | manifest["dependencies"]).items()
        own = {crate for crate, of in self.versions.items() if "path" in of}
        self.dependencies[section] = {crate: of for crate, of in crates if crate not in own}
        # Modules for Python answer no name of asyncio, though their headers have names.
        root = ROOT / member / "src/lib.rs"
        names_count = not root.exists()
        root = ROOT / member / "src/main.rs" if names_count else root
        for name in re.findall(r"^mod (\w+);$", root.read_text(encoding="utf-8"), re.M):
            path, id, lines = ROOT / member / f"src/{name}.rs", f"{section}/{name}", []
            if not path.exists():
                continue
            with open(path, encoding="utf-8") as file:
                for line in file:
                    if not line.startswith("//!"):
                        break
                    lines.append(line[3:].strip())
            for line in lines:
                if names_count and line.startswith("asyncio: "):
                    for at, key in enumerate(keys := line[9:].split(", ")):
                        # `Queue.put` behind `Queue` is no further from the subject.
                        owner = re.sub(r"\.\w+$", "", key)
                        at = keys.index(owner) if owner in keys else at
                        self.shown[key].append((at, len(self.summary), id))
            self.headers[id] = "\n".join(lines)
            self.summary[id], *parts = "\n".join(lines).replace("\n\n", "\0").split("\0")
            traps = (part[6:] for part in parts if part.startswith("Trap: "))
            traps = zip(self.numbers[id], traps)
            self.traps[id] = [f"{number}: {trap}".replace("\n", " ") for number, trap in traps]

    def part(self, row):
        """Returns the example that builds what a library does, if its first one does: it is a
        part of a program, and its header names the crate; of a module of Python, which may be
        used for anything, also the module."""
        id = row["examples"].partition(" ")[0]
        crates = {*row["crate"].split()} - {"std", "tokio"}
        words = {*re.findall(r"[\w-]+", self.headers.get(id, ""))}
        is_standard = row["kind"] == "standard library"
        is_shown = crates & words and (not is_standard or row["name"] in words)
        of_service = id.startswith("services/") and not is_standard
        return id if of_service or is_shown and id.startswith("real-world/") else None

    @staticmethod
    def bare(name):
        return re.sub(r"^(asyncio|loop)\.", "", name).lower()

    def examples(self, name):
        """Returns the examples that are about a name, the nearest first: the one that answers
        "Where is it?", one that is called so, then those that say the word in their first
        line."""
        short = re.sub(r"\(.*", "", name).rpartition(".")[2].lower()

        def rank(shown):
            at, order, id = shown
            own = id.rpartition("/")[2].replace("_", "").rstrip("s")
            words = re.split(r"[\W_]+", f"{id} {self.summary[id]}".lower())
            is_long = id.startswith(("real-world", "best-practices"))
            is_named = own == short.replace("_", "").rstrip("s")
            return not is_named, not {*short.split("_")} <= {*words}, is_long, at, order

        plain = self.plain.get(self.bare(name))
        found = [id for *_, id in sorted(self.shown[name], key=rank)]
        return [plain, *(id for id in found if id != plain)] if plain else found

    def trap(self, key, id):
        """Returns the trap of an example that has most words of a name's row, or nothing."""
        words = {*re.findall(r"\w{4,}", f"{key} {self.entries[key]['text']}".lower())}

        def common(trap):
            return len(words & {*re.findall(r"\w{4,}", trap.lower())})

        return max(self.traps.get(id, ()), key=common, default=None)

    @functools.cache
    def find(self, path):
        """Returns the row that a full name leads to, or nothing."""
        if path in self.entries:
            return path
        owner, _, name = path.rpartition(".")
        if re.match(r"asyncio\.|loop\.", path):
            parents = (self.find(f"{it}.{name}") for it in self.types["parent"].get(owner, ()))
            return next(filter(None, parents), None)
        return self.find(owner) if owner else None

    def manifest(self, found, of_tests):
        """Returns the lines of a manifest: the crates of the counterparts of the names, in the
        versions that the examples are checked with. A crate that was not tried is a comment."""
        needs = self.needs(found, {"tokio": (["all"], ["basics"])})
        tests = self.needs(of_tests, {})
        tests = self.requirements({crate: of for crate, of in tests.items() if crate not in needs})
        lines = ["[dependencies]", *self.requirements(needs)]
        return [*lines, "", "[dev-dependencies]", *tests] if tests else lines

    @functools.cached_property
    def tried(self):
        """The crates that were tried, each with the first section that depends on it."""
        sections = reversed(self.dependencies.items())
        return {crate: of for of, crates in sections for crate in crates}

    def needs(self, found, needs):
        """Returns the crates of the counterparts, each with the names and the sections."""
        for key, entry in found:
            for crate in entry.get("crates") or self.tried:
                words = WORDS_OF_CRATES.get(crate, rf"\b{crate.replace('-', '_')}\b")
                # What follows a semicolon is for special cases.
                is_needed = re.search(words, entry["text"].partition(";")[0])
                if "crates" in entry or is_needed:
                    names, sections = needs.setdefault(crate, ([], []))
                    names.append(key)
                    sections += (id.partition("/")[0] for id in entry["examples"])
        return needs

    def requirements(self, needs):
        lines, tried, of_sections = [], self.tried, self.dependencies
        for crate, (names, sections) in sorted(needs.items()):
            names = "" if crate == "tokio" else f" # for {', '.join(names[:2])}"
            if crate not in tried:
                lines += [f"# {crate}, not tried here,{names[2:]}"] * (crate != "std")
                continue
            section = next((it for it in sections if crate in of_sections[it]), tried[crate])
            own, common = of_sections[section][crate], self.versions.get(crate, {})
            both = [{"version": it} if isinstance(it, str) else it for it in (common, own)]
            features = sorted({it for one in both for it in one.get("features", ())})
            features = ["full"] if crate == "tokio" else features
            parts = both[0] | both[1] | {"features": features}
            keys = ("version", "default-features", "features")
            parts = {key: parts[key] for key in keys if parts.get(key, []) != []}
            value = ", ".join(f"{key} = {json.dumps(part)}" for key, part in parts.items())
            value = f"{{ {value} }}" if len(parts) > 1 else json.dumps(parts["version"])
            lines.append(f"{crate} = {value}{names}")
        return sorted(lines, key=lambda line: line[0] == "#")
