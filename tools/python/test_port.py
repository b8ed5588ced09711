"""Tests of `cargo xtask port`: python3 -m unittest discover -s tools/python -p test_port.py"""

import ast
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import tokenize
import tomllib
import unittest
from pathlib import Path

from port import BUILT, Report, main
from tables import ROOT, Tables, rows
from uses import Walk

TABLES = Tables()


def names(code):
    """Returns the names that are found in a program."""
    walk = Walk(TABLES, ast.parse(textwrap.dedent(code)))
    return {key for key, _ in walk.uses} | {f"? {name}" for name, _ in walk.unknown}


def in_async(body):
    start = "import aiohttp, asyncio, threading, time\nasync def main():\n"
    return names(start + textwrap.indent(body, "    "))


def port(*arguments):
    """Returns the exit code, what is printed, and what is said on standard error."""
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["port", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main()
            except SystemExit as ended:
                code = ended.code
    finally:
        sys.argv = before
    return code, out.getvalue(), err.getvalue()


class Patterns(unittest.TestCase):
    def test_each_is_found_where_it_is_and_nowhere_else(self):
        in_table = {key for key, entry in TABLES.entries.items() if entry["kind"] == "pattern"}
        # Bodies of an async function: one that has the pattern, and one that has it not.
        tried = {row["pattern"]: row for row in rows("tools/python/port_patterns.tsv")}
        self.assertEqual(in_table, tried.keys())
        for pattern, row in tried.items():
            with self.subTest(pattern):
                self.assertIn(pattern, in_async(row["has"].replace("\\n", "\n")))
                self.assertNotIn(pattern, in_async(row["has_not"].replace("\\n", "\n")))


class Names(unittest.TestCase):
    def finds(self, code, *wanted):
        self.assertLessEqual({*wanted}, names(code))

    def test_imports(self):
        self.finds("import asyncio as aio\naio.sleep(0)", "asyncio.sleep", "asyncio.sleep(0)")
        self.finds("from asyncio import Queue as Q\nQ(1).put(2)", "asyncio.Queue.put")
        self.finds("from asyncio import *\nwait_for(f(), 1)", "asyncio.wait_for")
        self.finds("from asyncio.queues import Queue\nQueue()", "asyncio.Queue")
        self.finds("import asyncio.locks\nasyncio.locks.Lock()", "asyncio.Lock")
        self.finds("import redis.asyncio as redis\nredis.from_url('')", "redis.asyncio")
        self.finds("from aiohttp import web\nweb.Application()", "aiohttp.web")
        self.finds("def f():\n    import asyncio\n    asyncio.run(g())", "asyncio.run")
        self.finds("import socket\nsocket.getfqdn()", "socket.getfqdn")
        self.finds("from email.utils import parseaddr\nparseaddr(a)", "email.utils")
        self.finds("from email._header_value_parser import get_path", "email._header_value_parser")
        self.finds("import mailbox\nmailbox.Maildir(p)", "mailbox")
        self.finds("b.decode('utf-8', 'surrogateescape')", "surrogateescape")
        self.assertEqual(names("from . import asyncio\nimport mine\nsleep(0)"), set())

    def test_a_fallback_import_takes_no_name_away(self):
        for code in (
            "if v > 3:\n    from asyncio import TaskGroup\nelse:\n    from taskgroup import TaskGroup",
            "try:\n    from asyncio import TaskGroup\nexcept ImportError:\n    from own import TaskGroup",
        ):
            with self.subTest(code):
                self.finds(code + "\nTaskGroup().create_task(f())", "asyncio.TaskGroup.create_task")

    def test_the_names_of_a_class_hide_none_in_its_methods(self):
        own = "class A:\n    async def sleep(self, n):\n        await sleep(n)\n"
        self.finds("from asyncio import sleep\n" + own, "asyncio.sleep")

    def test_a_name_that_asyncio_has_not_is_silent_and_one_without_a_row_is_told(self):
        told = names("import asyncio\nasyncio.nothing()\nasyncio.sslproto")
        self.assertEqual(told, {"? asyncio.sslproto"})
        self.assertEqual(names("import asyncio\nasyncio.Queue.__init__(q)"), {"asyncio.Queue"})

    def test_types_of_variables(self):
        before = "import asyncio\n"
        for code, name in [
            ("q = asyncio.Queue()\nq.put(1)", "asyncio.Queue.put"),
            ("q: asyncio.Queue[int] = f()\nq.join()", "asyncio.Queue.join"),
            ("q = asyncio.PriorityQueue()\nq.get()", "asyncio.Queue.get"),
            ("def f(e: 'asyncio.Event | None'):\n    e.wait()", "asyncio.Event.wait"),
            ("def f():\n    q.get()\nq = asyncio.Queue()", "asyncio.Queue.get"),
            ("def work(q):\n    q.get()\ndef main():\n    q = asyncio.Queue()", "asyncio.Queue.get"),
            ("ts = [asyncio.create_task(f())]\nfor t in ts:\n    t.cancel()", "asyncio.Task.cancel"),
            ("ts = {}\nts[1] = asyncio.create_task(f())\nts.pop(1).cancel()", "asyncio.Task.cancel"),
            ("done, _ = asyncio.wait(f())\n[t.result() for t in done]", "asyncio.Task.result"),
            ("def f() -> asyncio.Event: ...\nf().set()", "asyncio.Event.set"),
            ("asyncio.get_event_loop().call_later(1, f)", "loop.call_later"),
            ("async def f(reader, writer):\n    writer.drain()", "asyncio.StreamWriter.drain"),
            ("async def f():\n    async with asyncio.timeout(1) as t:\n        t.when()",
             "asyncio.Timeout.when"),
            ("class A:\n    def go(self):\n        self.lock.release()\n"
             "    def __init__(self):\n        self.lock = asyncio.Lock()", "asyncio.Lock.release"),
            ("class A:\n    def made(self, w: asyncio.StreamWriter):\n        self.out = w\n"
             "    def end(self):\n        self.out.close()", "asyncio.StreamWriter.close"),
            ("class P(asyncio.Protocol):\n    def connection_made(self, t): ...",
             "asyncio.BaseProtocol.connection_made"),
            ("class P(asyncio.StreamReaderProtocol):\n    def eof_received(self): ...",
             "asyncio.Protocol.eof_received"),
            ("class P(asyncio.BufferedProtocol):\n    def connection_lost(self, e): ...",
             "asyncio.BaseProtocol.connection_lost"),
            ("class P(Mixin, asyncio.SubprocessProtocol):\n    def process_exited(self): ...",
             "asyncio.SubprocessProtocol.process_exited"),
            ("class B(asyncio.DatagramProtocol): ...\nclass P(B):\n"
             "    def error_received(self, e): ...", "asyncio.DatagramProtocol.error_received"),
            ("from asyncio.streams import StreamReaderProtocol as S\nclass B(S): ...\n"
             "class P(B):\n    def data_received(self, d): ...", "asyncio.Protocol.data_received"),
            ("class P(asyncio.Protocol, asyncio.DatagramProtocol):\n"
             "    def datagram_received(self, d, a): ...",
             "asyncio.DatagramProtocol.datagram_received"),
            ("def f(t: asyncio.sslproto.SSLProtocol):\n    t.connection_made(1)",
             "asyncio.BaseProtocol.connection_made"),
            ("class Q(asyncio.Queue): ...\nQ().task_done()", "asyncio.Queue.task_done"),
        ]:  # fmt: skip
            with self.subTest(code):
                self.finds(before + code, name)

    def test_constructs(self):
        self.finds(
            "async def f():\n    [x async for x in y]\n    g(x async for x in y)\n    yield 1",
            "async def", "async comprehension", "async generator expression", "yield",
        )  # fmt: skip
        self.assertEqual(names("def f():\n    try:\n        return 1\n    finally: g()"), set())

    def test_the_first_page_of_a_name_is_about_it(self):
        for name, page in [
            ("asyncio.CancelledError", "error-handling/cancellation"),
            ("asyncio.create_task", "basics/create_task"),
            ("async for", "iterators/async_range"),
            ("asyncio.wait", "concurrency/wait_all"),
            ("loop.run_in_executor", "real-world/blocking_in_threads"),
            ("asyncio.to_thread", "real-world/blocking_in_threads"),
            ("asyncio.Queue", "concurrency/producer_consumer"),
            ("asyncio.open_connection", "real-world/tcp_client"),
            ("asyncio.start_server", "real-world/echo_server"),
            ("asyncio.Condition", "concurrency/condition_queue"),
            ("lambda", "basics/async_functions"),
            ("raise", "error-handling/propagate_with_question_mark"),
            ("__aiter__", "iterators/stream_by_hand"),
            ("loop.create_task", "basics/create_task"),
            ("threading.Lock", "basics/share_state"),
            ("asyncio.Server.wait_closed", "real-world/servers"),
            ("redis.asyncio", "services/redis_reconnect"),
            ("arq", "services/redis_job_queue"),
            ("loop.create_server", "real-world/servers"),
            ("asyncio.Queue(maxsize=0)", "best-practices/back_pressure"),
            ("asyncio.StreamWriter.get_extra_info", "real-world/tcp_echo_server"),
        ]:
            with self.subTest(name):
                self.assertEqual(TABLES.entries[name]["examples"][0], page)
        # "Where are gevent, trio and anyio?" leads to a chapter.
        pages = {id for entry in TABLES.entries.values() for id in entry["examples"]}
        self.assertEqual(pages - TABLES.summary.keys(), set())
        self.assertNotIn("trio", TABLES.plain)


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = Path(folder.name)

    def write(self, name, content):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def test_a_broken_file_is_named_and_the_others_go_on(self):
        self.write("good.py", "import asyncio\nasyncio.run(f())\n")
        self.write("broken.py", "import asyncio\ndef (:\n")
        self.write("nul.py", b"x = 1\0")
        self.write("nested.py", "x = " + "(" * 5000 + ")" * 5000)
        self.write("deep.py", "x = a" + ".b" * 50_000)
        (self.dir / "link.py").symlink_to(self.dir / "nowhere")
        self.write("long.py", "x = a" + " + a" * 2000)
        code, out, err = port("--json", self.dir)
        report = json.loads(out)
        self.assertEqual((code, len(report["failed"])), (0, 5))
        self.assertRegex(err, r"broken.py is not read: line 2: .*to Python 3.*a newer one may")
        self.assertIn("asyncio.run", {use["name"] for use in report["uses"]})
        self.assertEqual(port(self.dir / "broken.py")[0], 2)

    def test_a_notebook_is_read_cell_by_cell(self):
        cells = [
            ("code", "%pip install x\nimport asyncio"),
            ("markdown", "asyncio.run"),
            ("code", "def (:"),
            ("code", "%%bash\nls -l /"),
            ("code", "!ls\nawait asyncio.sleep(1)"),
        ]
        cells = [{"cell_type": kind, "source": [text]} for kind, text in cells]
        path = self.write("n.ipynb", json.dumps({"cells": cells}))
        code, out, err = port("--json", self.dir)
        uses = json.loads(out)["uses"]
        places = {(use["file"], use["line"]) for use in uses if use["name"] == "asyncio.sleep"}
        self.assertEqual((code, places), (0, {(f"{path} cell 5", 2)}))
        self.assertIn(f"{path} cell 3: ", err)
        self.assertNotIn("cell 4", err)
        self.assertIn(
            "await asyncio.sleep(1)  # Rust: tokio::time::sleep", port("--annotate", path)[1]
        )

    def test_a_line_says_a_thing_once(self):
        path = self.write("s.py", "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n")
        line = port("--annotate", path)[1].splitlines()[2]
        self.assertIn("yield_now", line)
        self.assertNotIn("tokio::time::sleep", line)

    @unittest.skipUnless(hasattr(os, "mkfifo"), "no pipes with a name")
    def test_a_pipe_is_not_read(self):
        self.write("good.py", "import asyncio\nasyncio.run(f())\n")
        os.mkfifo(self.dir / "pipe.py")
        here = [sys.executable, ROOT / "tools/python/port.py", "."]
        done = subprocess.run(here, cwd=self.dir, capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, 0)
        self.assertIn("pipe.py is not read: it is no regular file", done.stderr)

    def test_nothing_is_guessed_of_a_file_without_asyncio(self):
        guess = "def f(self, w):\n    w.call_later(1)\n    self.drain()\n    q.put_nowait(1)\n"
        guess += "    try:\n        g()\n    except TimeoutError:\n        pass\n"
        report = json.loads(port("--json", self.write("own.py", "import mine\n" + guess))[1])
        self.assertEqual((report["uses"], report["pages"]), ([], []))
        both = self.write("aio.py", "import asyncio\n" + guess)
        self.assertGreater(len(json.loads(port("--json", both)[1])["uses"]), 1)
        own = self.write("async.py", "from .mine import g\nasync def f():\n    await g()\n")
        uses = {use["name"] for use in json.loads(port("--json", own)[1])["uses"]}
        self.assertIn("async def", uses)

    def test_modules_without_a_row_are_named(self):
        path = self.write("own.py", "import asyncio, turtle, mine, theirs.part\n")
        report = json.loads(port("--json", path)[1])
        self.assertEqual(report["standard_imports"], ["turtle"])
        self.assertEqual(report["other_imports"], ["mine", "theirs"])
        text = " ".join(port(path)[1].split())
        self.assertIn("Modules of Python that docs/neighbours.tsv does not have: turtle", text)

    def test_a_library_is_no_user_of_itself_and_its_connection_no_server(self):
        connect = "await loop.create_connection(lambda: asyncio.StreamReaderProtocol(reader))"
        code = f"import asyncio, aiohttp, aiokafka.errors\nasync def f(loop, reader): {connect}\n"
        self.write("aiokafka/__init__.py", code)
        report = json.loads(port("--json", self.dir)[1])
        found = {use["name"] for use in report["uses"]}
        self.assertEqual(found & {"aiohttp", "aiokafka"}, {"aiohttp"})
        self.assertIn("real-world/reconnecting_client", report["plan"]["pages"])

    def test_any_encoding_and_line_end(self):
        for name, content in [
            ("bom.py", b"\xef\xbb\xbfimport asyncio\nasyncio.run(f())\n"),
            ("crlf.py", b"import asyncio\r\nasyncio.run(f())\r\n"),
            ("tabs.py", b"import asyncio\nif 1:\n\tasyncio.run(f())\n"),
            ("latin.py", b"# coding: latin-1\nimport asyncio\nasyncio.run(f('\xe9'))\n"),
        ]:
            path = self.write(name, content)
            with self.subTest(name):
                self.assertIn("asyncio.run (a few lines)", port(path)[1])
                code, out, _ = port("--annotate", path)
                noted = [line for line in out.splitlines() if "  # Rust: #[tokio::main]" in line]
                self.assertEqual((code, len(noted)), (0, 1))
        self.assertEqual(port(self.write("empty.py", ""))[0], 0)

    def test_environments_hidden_folders_and_loops_are_left_out(self):
        program = "import asyncio\nasyncio.run(f())\n"
        own = self.write("pkg/own.py", program)
        for folder in (".venv/lib", "env", "node_modules", ".hidden", "pkg/__pycache__"):
            self.write(f"{folder}/x.py", program)
        self.write("env/pyvenv.cfg", "")
        (self.dir / "pkg/again").symlink_to(self.dir)
        places = {use["file"] for use in json.loads(port("--json", self.dir)[1])["uses"]}
        self.assertEqual(places, {str(own)})

    def test_wrong_calls(self):
        code, out, err = port(self.dir / "nowhere.py")
        self.assertEqual((code, out), (2, ""))
        self.assertIn(f"error: there is no {self.dir}/nowhere.py", err)
        self.write("notes.txt", "")
        code, out, err = port(self.dir)
        self.assertEqual((code, out), (2, ""))
        self.assertIn(f"error: no Python file is in {self.dir}; name a file", err)

    def test_nothing_is_run_or_changed(self):
        path = self.write("evil.py", "import asyncio\nopen('made', 'w')\nraise SystemExit(9)\n")
        before = path.read_bytes()
        command = [sys.executable, ROOT / "tools/python/port.py", "."]
        done = subprocess.run(command, cwd=self.dir, capture_output=True)
        self.assertEqual((done.returncode, path.read_bytes()), (0, before))
        self.assertEqual(os.listdir(self.dir), ["evil.py"])


class Reports(unittest.TestCase):
    def test_text_and_json_say_the_same(self):
        program = ROOT / "crates/real-world/python/api_server.py"
        report = json.loads(port("--json", program)[1])
        text = port(program)[1]
        for use in report["uses"]:
            self.assertIn(use["name"], text)
        for page in report["plan"]["pages"]:
            self.assertIn(f"cargo xtask show {page}", text)
        manifest = tomllib.loads("\n".join(report["dependencies"]))
        self.assertLessEqual({"tokio", "reqwest", "axum"}, manifest["dependencies"].keys())
        self.assertEqual(len(report["pages"]), 5)
        plan = report["plan"]
        self.assertEqual(plan["kind"], "a web server")
        self.assertTrue(3 <= len(plan["pages"]) <= 6, plan)
        self.assertEqual(plan["pages"][-1], "real-world/shutdown_in_three_steps")
        self.assertEqual(plan["pages"][0], "real-world/router")
        sections = [page.partition("/")[0] for page in plan["pages"][:-1]]
        self.assertEqual(sections, sorted(sections, key=BUILT.index))

    def test_a_server_that_connects_to_another_one_is_a_proxy(self):
        serve = "import asyncio\nasync def handle(reader, writer):\n    %s\n"
        serve += "async def main():\n    await asyncio.start_server(handle, '', 1)\n"
        connect = "await asyncio.open_connection('localhost', 2)"
        test = f"import asyncio\nasync def test():\n    {connect}\n"
        for inside, kind, page in (
            (connect, "a proxy", "real-world/tcp_proxy"),
            ("await writer.drain()", "a server", "real-world/servers"),
        ):
            with self.subTest(kind), tempfile.TemporaryDirectory() as folder:
                Path(folder, "served.py").write_text(serve % inside)
                # A client in the tests makes no proxy of a server.
                Path(folder, "test_served.py").write_text(test)
                plan = json.loads(port("--json", folder)[1])["plan"]
                self.assertEqual(plan["kind"].partition(",")[0], kind)
                self.assertIn(page, plan["pages"])

    def test_a_program_with_datagrams_has_the_page_of_a_udp_server(self):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "served.py").write_text(textwrap.dedent("""
                import asyncio
                async def main():
                    loop = asyncio.get_running_loop()
                    await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("", 1))
                asyncio.run(main())
            """))
            plan = json.loads(port("--json", folder)[1])["plan"]
        self.assertEqual(plan["kind"], "a UDP client or server")
        self.assertIn("real-world/udp_server", plan["pages"])

    def test_a_server_that_handles_signals_ends_with_the_page_of_signals(self):
        serve = "import asyncio\nasync def main():\n    loop = asyncio.get_running_loop()\n"
        serve += "    await asyncio.start_server(print, '', 1)\n    %s\nasyncio.run(main())\n"
        for inside, page in (
            ("loop.add_signal_handler(15, print)", "real-world/graceful_shutdown"),
            ("loop.call_soon(print)", "real-world/shutdown_in_three_steps"),
        ):
            with self.subTest(page), tempfile.TemporaryDirectory() as folder:
                Path(folder, "served.py").write_text(serve % inside)
                plan = json.loads(port("--json", folder)[1])["plan"]
                self.assertEqual(plan["pages"][-1], page)

    def test_a_plan_begins_with_its_kind_and_has_the_libraries_and_the_exceptions(self):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "served.py").write_text(textwrap.dedent("""
                import argparse, asyncio, json, ssl
                class Served(asyncio.StreamReaderProtocol):
                    def connection_made(self, transport):
                        super().connection_made(transport)
                        self.task = asyncio.get_event_loop().create_task(self.serve())
                    def connection_lost(self, error):
                        self.task.cancel()
                    async def serve(self):
                        try:
                            await self.reader.readuntil(b"\\r\\n")
                        except asyncio.LimitOverrunError:
                            json.dumps({})
                        except asyncio.CancelledError:
                            raise
                def main(tls: ssl.SSLContext):
                    loop = asyncio.new_event_loop()
                    asyncio.set_event_loop(loop)
                    server = loop.create_server(Served, "", 1, ssl=tls)
                    loop.run_until_complete(server)
                    loop.run_forever()
            """))
            plan = json.loads(port("--json", folder)[1])["plan"]
        pages = plan["pages"]
        self.assertEqual((plan["kind"], pages[0]), ("a server", "real-world/servers"))
        self.assertTrue(3 <= len(pages) <= 6, pages)
        self.assertEqual(pages[-1], "real-world/shutdown_in_three_steps")
        self.assertLessEqual({"real-world/protocols", "real-world/tls"}, {*pages})
        self.assertTrue({"real-world/line_protocol", "real-world/crlf_lines"} & {*pages}, pages)
        # An example's `main` starts its runtime.
        self.assertNotIn("basics/build_a_runtime", pages)

    def test_a_library_is_a_part_of_a_program_where_its_page_says_so(self):
        for name, part in [
            ("ssl", "real-world/tls"),
            ("websockets", "real-world/websocket_server"),
            ("redis.asyncio", "services/redis_reconnect"),
            ("httpx", "real-world/http_requests"),
            # These are used by programs of any kind.
            ("json", None),
            ("datetime", None),
            ("urllib.parse", None),
            ("logging", None),
        ]:
            with self.subTest(name):
                self.assertEqual(TABLES.entries[name]["part"], part)

    def test_what_only_starts_a_loop_is_in_a_plan_of_nothing_else(self):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "own.py").write_text("import asyncio\nasyncio.run(main())\n")
            plan = json.loads(port("--json", folder)[1])["plan"]
        self.assertEqual(plan["pages"][0].partition("/")[0], "basics")

    def test_tests_and_tools_count_for_neither_plan_nor_dependencies(self):
        others = ("tests/helper.py", "test_own.py", "app/own_test.py", "conftest.py", "docs/conf.py",
                  "app/qa/lint.py", "examples/client.py", "benchmarks/speed.py", "setup.py",
                  "noxfile.py")  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            # Names above the folder tell nothing of it.
            root = Path(folder, "tests/project")

            def write(name, text):
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)

            of_test = "import asyncio, aiohttp, pytest, sphinx, logging\n"
            of_test += "async def f(): await asyncio.open_connection('', 1)\n"
            for name in others:
                write(name, of_test)
            served = "import asyncio, logging, theirs\n"
            served += "async def main(): await asyncio.start_server(print, '', 1)\n"
            write("app/__init__.py", "")
            write("app/served.py", served)
            # A module of the program, as it is in a package.
            write("app/setup.py", "import asyncio, redis\nasyncio.Semaphore(2).locked()\n")
            report = json.loads(port("--json", root)[1])
            text = " ".join(port(root)[1].split())
            alone = json.loads(port("--json", root / "tests")[1])
        plan, lines = report["plan"], report["dependencies"]
        self.assertEqual((plan["kind"], plan["pages"][0]), ("a server", "real-world/servers"))
        self.assertNotIn("real-world/http_requests", plan["pages"])
        made = tomllib.loads("\n".join(lines))
        self.assertLessEqual({"tokio", "tracing", "redis"}, made["dependencies"].keys())
        self.assertEqual({"reqwest", "rstest"}, made["dev-dependencies"].keys())
        self.assertEqual(report["other_imports"], ["theirs"])
        self.assertEqual(report["imports_of_tests"], ["sphinx"])
        self.assertIn("aiohttp (another library, only in tests):", text)
        self.assertIn("logging (another library):", text)
        left_out = f"Left out of the plan, as tests, documents, examples or tools: {len(others)}"
        self.assertIn(left_out, text)
        self.assertIn("Only in tests, and not in docs/neighbours.tsv: sphinx", text)
        # Where there are only tests, they are the program.
        self.assertIn("real-world/http_requests", alone["plan"]["pages"])
        self.assertIn("reqwest", "\n".join(alone["dependencies"]))
        self.assertNotIn("[dev-dependencies]", alone["dependencies"])

    def test_a_word_of_a_sentence_is_no_crate(self):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "name.py").write_text(textwrap.dedent("""
                import asyncio
                async def name(reader, writer: asyncio.StreamWriter):
                    print(writer.get_extra_info("peername"))
                    writer.close()
                async def main():
                    await asyncio.start_server(name, "", 1)
                    await asyncio.Condition().wait()
                """))
            report = json.loads(port("--json", folder)[1])
        found = {use["name"] for use in report["uses"]}
        named = {"asyncio.StreamWriter.close", "asyncio.StreamWriter.get_extra_info"}
        self.assertLessEqual(named | {"asyncio.Condition.wait"}, found)
        made = tomllib.loads("\n".join(report["dependencies"]))["dependencies"].keys()
        self.assertLessEqual(made, {"tokio", "tokio-util", "futures"})

    def test_only_crates_of_others_are_dependencies(self):
        made = {crate for crates in TABLES.dependencies.values() for crate in crates}
        self.assertIn("tokio", made)
        self.assertFalse(made & {"runner", "harness", "servers", "catalog"})

    def test_the_silent_clauses_of_a_name_are_printed_with_what_asyncio_does(self):
        program = ROOT / "crates/concurrency/python/producer_consumer.py"
        text = " ".join(port(program)[1].split())
        of_put = [it for it in TABLES.clauses["asyncio.Queue.put"] if it["verdict"] == "differs"]
        many = f"{len(of_put)} of {len(TABLES.clauses['asyncio.Queue.put'])} clauses"
        self.assertIn(f"{many} of asyncio's contract differ", text)
        silent = [it for it in of_put if it["port"] in ("silent", "hangs")]
        self.assertGreater(len(silent), 0)
        for it in silent:
            self.assertIn(f"{it['port']}: {it['in_rust']} asyncio: {it['asked']}", text)
        same = TABLES.clauses["asyncio.wait"]
        follow = [it for it in same if it["clause"].startswith("The same")]
        self.assertTrue(follow and all(not it["asked"].startswith("The same") for it in follow))

    def test_an_annotated_program_is_the_same_program(self):
        for program in (ROOT / "crates/real-world/python").glob("*.py"):
            out = port("--annotate", program)[1]
            self.assertEqual(ast.dump(ast.parse(out)), ast.dump(ast.parse(program.read_bytes())))
            self.assertGreater(out.count("  # Rust: "), 5)


class Twins(unittest.TestCase):
    """The header of an example names what its twin uses."""

    def test_each_use_leads_to_its_own_page(self):
        twins = sorted(ROOT.glob("crates/*/python/*.py"))
        report = Report(twins, TABLES)
        self.assertEqual((report.failed, dict(report.unknown)), ({}, {}))
        lead = total = 0
        missed = []
        for twin in twins:
            id = f"{twin.parts[-3]}/{twin.stem}"
            with open(twin, "rb") as file:
                tokens = [it for it in tokenize.tokenize(file.readline)]
            words = {it.string for it in tokens if it.type == tokenize.NAME}
            for name, shown in TABLES.shown.items():
                short = re.split(r"\W", re.sub(r"[(*].*", "", name).strip())[-1]
                if id not in (it[-1] for it in shown) or short not in words:
                    continue
                total += 1
                self.assertIn(id, TABLES.entries[name]["examples"])
                if any(path == twin for path, _ in report.places[name]):
                    lead += 1
                else:
                    missed.append(f"{id}: {name}")
        print(f"{lead} of {total} names of the headers are found in the twins")
        self.assertGreater(total, 500)
        self.assertGreaterEqual(lead / total, 0.97, missed)


if __name__ == "__main__":
    # CPython before 3.12 takes it for a success if there are no tests.
    ended = unittest.main(exit=False).result
    sys.exit(ended.testsRun == 0 or not ended.wasSuccessful())
