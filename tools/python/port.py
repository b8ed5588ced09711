#!/usr/bin/env python3
"""Report what a Python program uses of asyncio and other libraries, and the counterparts in Rust.

The counterparts stand in the tables below docs/: asyncio-api.tsv, neighbours.tsv and
port-patterns.tsv. This reads the syntax of the program, and imports, runs and changes none
of it. It follows the types of variables in one pass; where it knows none, it says nothing.
"""

import argparse
import ast
import gc
import io
import json
import math
import os
import re
import shutil
import sys
import textwrap
import tokenize
import warnings
from collections import Counter, defaultdict
from pathlib import Path

from tables import Tables
from uses import Walk

STATUS = {
    "direct": "direct",
    "pattern": "a few lines",
    "crate": "another library",
    "none": "no counterpart",
}
KINDS = {
    "pattern": "Differs in your code",
    "asyncio": "Names of asyncio",
    "library": "Libraries",
    "language": "Constructs",
}
# What a reader types before `port`.
COMMAND = os.environ.get("ASYNCIO_TO_TOKIO", "cargo xtask")
MOST_PLACES = 12

# In the order in which a port is built: the parts of the program, then what joins them, then
# what makes them safe.
BUILT = (
    "real-world", "services", "concurrency", "iterators", "context-managers", "basics",
    "error-handling", "best-practices", "interop",
)  # fmt: skip
# How much a page counts in a plan: a part of a program more than the meaning of a construct.
WORTH = {"real-world": 2, "services": 2, "basics": 0.5, "best-practices": 0.5, "interop": 0.5}
# Kinds of programs, what tells them (a `+` joins what has to be there together), and the page
# to build each on.
PROGRAMS = (
    ("a web server", "aiohttp.web fastapi starlette quart sanic flask", "real-world/router"),
    ("a proxy, or another server that also connects to a server",
     "asyncio.start_server+asyncio.open_connection "
     "loop.create_server+loop.create_connection", "real-world/tcp_proxy"),
    ("a server", "asyncio.start_server asyncio.start_unix_server loop.create_server "
     "loop.create_unix_server", "real-world/servers"),
    ("a UDP client or server", "asyncio.DatagramProtocol loop.create_datagram_endpoint",
     "real-world/udp_server"),
    ("a worker", "arq celery rq taskiq dramatiq procrastinate aiokafka aio_pika",
     "real-world/job_workers"),
    ("a client", "asyncio.open_connection loop.create_connection websockets",
     "real-world/reconnecting_client"),
    ("a client", "aiohttp httpx requests", "real-world/http_requests"),
    # A client makes such a protocol as well, for its connection.
    ("a server", "asyncio.StreamReaderProtocol", "real-world/servers"),
    ("a library", "", None),
)  # fmt: skip
SHUTDOWN = "real-world/shutdown_in_three_steps"
SIGNALS = "real-world/graceful_shutdown"
# The `main` of every example starts its runtime.
STARTS = re.compile(
    r"asyncio\.(run$|Runner|\w*EventLoop|(get|set|new)_\w*loop)"
    r"|loop\.(run_forever|run_until_complete|stop|close|is_\w+|[gs]et_debug|shutdown_\w+)$"
)
# What has tasks that a stop must end, or handles a signal.
ENDS = {
    "asyncio.create_task", "asyncio.ensure_future", "asyncio.TaskGroup", "loop.create_task",
    "loop.add_signal_handler",
}  # fmt: skip
MOST_PAGES = 5
# What belongs to a project and is no part of its program.
TESTS = re.compile(r"(^|/)(tests?|docs?|qa|examples?|benchmarks?)/|(^|/)test_|_test\.(py|ipynb)$")
TOOLS = ("conftest.py", "setup.py", "noxfile.py")
SKIPPED = ("node_modules", "site-packages", "__pycache__")


def python_files(paths):
    """Returns the files of the paths, without environments, hidden folders and folders that
    are links."""
    found = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
        for folder, folders, names in os.walk(path):
            is_environment = [(Path(folder, it, "pyvenv.cfg").exists()) for it in folders]
            named = sorted(it for it, skip in zip(folders, is_environment) if not skip)
            folders[:] = (it for it in named if it[0] != "." and it not in SKIPPED)
            found += (Path(folder, it) for it in sorted(names) if it.endswith((".py", ".ipynb")))
    return found


def tests_of(files, paths):
    """Returns the files that are tests, documents, examples or tools of a project: by their names
    below the paths, each with its own last part. If all are, then none."""
    found = set()
    for file in files:
        below = (path.parent for path in paths if path == file or path in file.parents)
        names = [file.relative_to(folder).as_posix() for folder in below]
        # A module of a package may have the name of a tool.
        is_tool = file.name in TOOLS and (
            file.name == "conftest.py" or not (file.parent / "__init__.py").exists()
        )
        if names and is_tool or any(map(TESTS.search, names)):
            found.add(file)
    return found if len(found) < len(files) else set()


def packages_of(files):
    """Returns the names of the packages that the files themselves are."""
    folders = {path.parent for path in files if path.name == "__init__.py"}
    return {folder.name for folder in folders if folder.parent not in folders}


def source_of(path):
    """Returns the text of a file and nothing; or the code of a notebook, and of each line its
    cell and its line in it. A cell in another language or with an error is left out, and so is
    a line for IPython."""
    if path.suffix != ".ipynb":
        return path.read_bytes(), None
    source, places = [], []
    for number, cell in enumerate(json.loads(path.read_bytes()).get("cells", ()), 1):
        lines = "".join(cell.get("source", ())).splitlines()
        if cell.get("cell_type") != "code" or lines[:1] and lines[0].startswith("%%"):
            continue
        lines = ["" if re.match(r"\s*[%!?]", line) else line for line in lines]
        try:
            ast.parse("\n".join(lines))
        except SyntaxError as error:
            print(f"error: {path} cell {number}: {error.msg}", file=sys.stderr)
            continue
        source += lines
        places += ((f"{path} cell {number}", at + 1) for at in range(len(lines)))
    return "\n".join(source).encode(), places


class Report:
    """What was found in the files, and what follows from it."""

    def __init__(self, files, tables, paths=()):
        self.tables, self.files, self.failed, self.others = tables, files, {}, set()
        self.places, self.unknown = defaultdict(list), defaultdict(list)
        # Of each name how often the program itself uses it, without its tests.
        self.tests, self.within, self.others_of_tests = tests_of(files, paths), Counter(), set()
        packages = packages_of(files)
        for path in files:
            try:
                if not path.is_file():  # reading a pipe may never end
                    raise OSError("it is no regular file")
                source, lines = source_of(path)
                walk = Walk(tables, ast.parse(source))
            except SyntaxError as error:
                of = ".".join(map(str, sys.version_info[:2]))
                told = f"line {error.lineno}: {error.msg} (to Python {of}; a newer one may read it)"
                self.failed[path] = told
                continue
            except (OSError, ValueError, AttributeError, RecursionError, MemoryError) as error:
                self.failed[path] = getattr(error, "strerror", None) or str(error)
                continue
            # A package that has the name of a known library, or is that library.
            uses = [use for use in walk.uses if not self.is_of(packages, use[0])]
            uses = uses if b"asyncio" in source else self.without_guesses(uses)
            for found, names in ((self.places, uses), (self.unknown, walk.unknown)):
                for name, line in sorted(set(names), key=lambda use: use[1]):
                    found[name].append(lines[line - 1] if lines else (path, line))
            if path in self.tests:
                self.others_of_tests |= walk.others
            else:
                self.within.update(name for name, _ in {*uses})
                self.others |= walk.others
        if not self.within:
            self.within.update({name: len(places) for name, places in self.places.items()})
        own = {part for path in files for part in (path.stem, *path.parts)}
        self.others -= own
        self.others_of_tests -= own | self.others
        self.standard = self.others & sys.stdlib_module_names
        self.others -= self.standard

    def is_of(self, packages, key):
        kind = self.tables.entries[key]["kind"]
        return kind == "library" and key.partition(".")[0] in packages

    def without_guesses(self, uses):
        """Returns the uses of a file that never says asyncio. Without a known library, what
        stays is the constructs of async functions: a method that is called as one of asyncio
        is none."""
        kinds = {key: self.tables.entries[key]["kind"] for key, _ in uses}
        if "library" in kinds.values():
            return uses
        is_async = "async def" in kinds
        return [use for use in uses if is_async and kinds[use[0]] == "language"]

    def of_kind(self, kind):
        """Returns the names of a kind with their entries and places, the most used first."""
        entries = self.tables.entries
        found = ((key, entries[key], places) for key, places in self.places.items())
        found = (one for one in found if one[1]["kind"] == kind)
        return sorted(found, key=lambda one: (-len(one[2]), one[0]))

    def counts(self):
        counts = dict.fromkeys((*STATUS, "differs", "unknown"), 0)
        for key, places in self.places.items():
            counts[self.tables.entries[key]["status"]] += len(places)
        return counts | {"unknown": sum(map(len, self.unknown.values()))}

    def pages(self, chosen=(), most=MOST_PAGES):
        """Returns the pages that were chosen, and those that together answer most of what the
        program uses besides."""
        chosen, weights = [*chosen], {"pattern": 4, "asyncio": 2, "library": 1.5, "language": 0.2}
        # What starts the runtime says nothing of the program, unless there is little else.
        counted = {key: many for key, many in self.within.items() if not STARTS.match(key)}
        while len(chosen) < most:
            totals = Counter()
            for key, many in counted.items():
                entry = self.tables.entries[key]
                pages, is_std = entry["examples"][:3], entry.get("crates") == ["std"]
                if not is_std and not {*pages} & {*chosen}:
                    for rank, id in enumerate(pages, 1):
                        weight = weights[entry["kind"]] / rank * WORTH.get(id.partition("/")[0], 1)
                        totals[id] += weight * (1 + math.log(min(many, 8)))
            if totals:
                chosen.append(min(totals, key=lambda id: (-totals[id], id)))
            elif counted is not self.within:
                counted = self.within
            else:
                break
        return chosen

    def parts(self, chosen):
        """Returns the pages of the two libraries that the program uses most of those that are a
        part of it, without libraries that have a page among those that are chosen."""
        pages = {}
        for key, _ in self.within.most_common():
            entry = self.tables.entries[key]
            part = entry.get("part")
            if part and not {*entry["examples"]} & {*chosen, *pages}:
                pages[part] = key
        return [*pages][:2]

    def plan(self):
        """Returns which kind of program it is, the three to six examples to build it from, in
        the order of building, and what has to be decided before."""
        own = self.within.keys()
        for kind, names, base in PROGRAMS:
            if not names or any(own >= {*it.split("+")} for it in names.split()):
                break
        if base is None and "asyncio.run" in own:
            kind = "a program of its own"
        pages = self.pages([base] if base else [], MOST_PAGES - 2)
        pages = self.pages([*pages, *self.parts(pages)])
        pages = [id for id in pages if "shutdown" not in id]
        pages.sort(key=lambda id: (id != base, BUILT.index(id.partition("/")[0])))
        ends = own & ENDS
        if pages and (kind.endswith(("server", "worker")) or ends):
            pages.append(SIGNALS if "loop.add_signal_handler" in own else SHUTDOWN)
        entries = self.tables.entries
        open_ = (it for it in own if entries[it]["status"] == "none")
        return kind, pages, sorted(open_)

    def dependencies(self):
        kinds = ("asyncio", "library", "language")
        found = [one[:2] for kind in kinds for one in self.of_kind(kind)]
        own = [one for one in found if one[0] in self.within]
        return self.tables.manifest(own, [one for one in found if one[0] not in self.within])


def places_of(places):
    """Returns the places as text, by files: `a.py:3, 8; b.py:1`."""
    of_file = defaultdict(list)
    for path, line in places[:MOST_PLACES]:
        of_file[path].append(str(line))
    more = len(places) - MOST_PLACES
    text = "; ".join(f"{path}:{', '.join(lines)}" for path, lines in of_file.items())
    return text + (f"; and {more} more" if more > 0 else "")


def print_text(report):
    tables, told = report.tables, set()
    width = min(shutil.get_terminal_size().columns, 100)
    has_colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def heading(text):
        print(f"\n\033[1m{text}\033[0m" if has_colours else f"\n{text}")

    def line(depth, text, mark=""):
        indent = {"initial_indent": "  " * depth, "subsequent_indent": "  " * depth}
        text = textwrap.fill(mark + text, width, break_on_hyphens=False, **indent)
        coloured = f"\033[36m{mark}\033[0m" if mark and has_colours else mark
        print(text.replace(mark, coloured, 1))

    for kind, title in KINDS.items():
        if found := report.of_kind(kind):
            heading(title)
        for key, entry, places in found:
            first, *others = [*entry["examples"], None, None][:3]
            if kind == "language":
                uses = f"{len(places)} use{'s' * (len(places) > 1)}"
                line(1, f" ({uses}): {entry['text']}. Page {first}.", key)
                continue
            status = [STATUS[entry["status"]]] if entry["status"] in STATUS else []
            status += ["only in tests"] * (key not in report.within)
            status = f" ({', '.join(status)})" if status else ""
            kept = f" Newest: {entry['kept']}." if "(" in entry.get("kept", "") else ""
            line(1, f"{status}: {places_of(places)}", key)
            line(2, entry["text"] + kept)
            if first:
                also = f" Also {', '.join(filter(None, others))}." if others[0] else ""
                line(2, f"page {first}: {tables.summary[first]}{also}")
            clauses = tables.clauses[key]
            differs = [row for row in clauses if row["verdict"] == "differs"]
            if differs:
                many = f"{len(differs)} of {len(clauses)} clauses of asyncio's contract"
                line(2, f"{many} differ{'s' * (len(differs) == 1)}")
            for row in differs:
                if row["port"] in ("silent", "hangs"):
                    line(3, f"{row['port']}: {row['in_rust']} asyncio: {row['asked']}")
            trap = tables.trap(key, first)
            if trap and trap not in told:
                line(2, f"trap {trap}")
                told.add(trap)
    if report.unknown:
        heading("Not in the tables")
    for name, places in sorted(report.unknown.items()):
        line(1, f": {places_of(places)}", name)
    counts = report.counts()
    heading("Summary")
    line(1, f"Files read: {len(report.files) - len(report.failed)}")
    if report.tests:
        named = "tests, documents, examples or tools"
        line(1, f"Left out of the plan, as {named}: {len(report.tests)}")
    shares = ", ".join(f"{counts[status]} {words}" for status, words in STATUS.items())
    line(1, f"Uses: {shares}, {counts['unknown']} not in the tables")
    line(1, f"Places where the same code would behave differently: {counts['differs']}")
    if report.standard:
        standard = ", ".join(sorted(report.standard))
        line(1, f"Modules of Python that docs/neighbours.tsv does not have: {standard}")
    if report.others:
        others = ", ".join(sorted(report.others))
        line(1, f"Imports that docs/neighbours.tsv does not have: {others}")
    if report.others_of_tests:
        others = ", ".join(sorted(report.others_of_tests))
        line(1, f"Only in tests, and not in docs/neighbours.tsv: {others}")
    for path, problem in report.failed.items():
        line(1, f"Not read: {path}: {problem}")
    if report.places:
        heading("Dependencies")
        print(textwrap.indent("\n".join(report.dependencies()), "  "))
        kind, pages, undecided = report.plan()
        heading("Plan")
        line(1, f"This looks like {kind}. Build it from these, in this order:")
        for id in pages:
            line(1, f": {tables.summary[id]}", f"{COMMAND} show {id}")
        if undecided:
            line(1, f"Decide first what takes the place of: {', '.join(undecided)}")


def print_json(report):
    def found(names, entries):
        uses = [(str(path), at, name) for name, places in names.items() for path, at in places]
        keys = ("file", "line", "name")
        return [dict(zip(keys, use)) | entries.get(use[2], {}) for use in sorted(uses)]

    whole = {
        "uses": found(report.places, report.tables.entries),
        "unknown": found(report.unknown, {}),
        "failed": {str(path): problem for path, problem in report.failed.items()},
        "standard_imports": sorted(report.standard),
        "other_imports": sorted(report.others),
        "imports_of_tests": sorted(report.others_of_tests),
        "summary": report.counts(),
        "dependencies": report.dependencies(),
        "pages": report.pages(),
        "plan": dict(zip(("kind", "pages", "undecided"), report.plan())),
    }
    print(json.dumps(whole))


def print_annotated(report):
    """Prints the files, with a comment behind each line that uses more than `return`, `try`
    and other plain constructs."""
    notes = defaultdict(dict)
    for kind in KINDS:
        for key, entry, places in report.of_kind(kind):
            is_plain = kind == "language" and entry["status"] == "direct"
            text = key if kind == "pattern" else entry["text"]
            text = textwrap.shorten(text, 90, placeholder=" ...")
            text += f" [{entry['examples'][0]}]" if entry["examples"] else ""
            for place in () if is_plain else places:
                notes[place][key] = text
    for path in report.files:
        if len(report.files) > 1:
            print(f"# {path}")
        if path not in report.failed:
            source, places = source_of(path)
            coding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
            for number, line in enumerate(source.decode(coding).splitlines(), 1):
                found = notes[places[number - 1] if places else (path, number)]
                # `sleep(0)` says what `sleep` would.
                said = (it for key, it in found.items() if f"{key}(" not in "; ".join(found))
                note = "; ".join(dict.fromkeys(said))
                print(f"{line}  # Rust: {note}" if note else line)


def main():
    about = __doc__.split("\n")[0]
    parser = argparse.ArgumentParser(prog=f"{COMMAND} port", description=about)
    add = parser.add_argument
    add("paths", metavar="PATH", nargs="+", type=Path, help="a file or a folder")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print JSON, with all places")
    how.add_argument("--annotate", action="store_true", help="print the source with comments")
    options = parser.parse_args()
    for path in options.paths:
        if not path.exists():
            parser.error(f"there is no {path}")
    files = python_files(options.paths)
    if not files:
        names = ", ".join(map(str, options.paths))
        parser.error(f"no Python file is in {names}; name a file, or a folder with *.py files")
    warnings.simplefilter("ignore")  # of the program's own literals
    sys.setrecursionlimit(10_000)  # a sum of 2,000 terms is as deep
    gc.disable()  # trees have no cycles, and there is much of them
    report = Report(files, Tables(), options.paths)
    if options.json:
        print_json(report)
    elif options.annotate:
        print_annotated(report)
    else:
        print_text(report)
    for path, problem in report.failed.items():
        print(f"error: {path} is not read: {problem}", file=sys.stderr)
    return 2 if len(report.failed) == len(files) else 0


if __name__ == "__main__":
    try:
        code = main()
        sys.stdout.flush()
        sys.exit(code)
    except BrokenPipeError:
        os._exit(0)
