"""Finds in the syntax of a Python file what it uses: names, constructs and patterns."""

import ast
import re

from expressions import FUNCTIONS, SET_UP, Expressions, OfClass, element


STARTS = ("asyncio.create_task", "asyncio.ensure_future", "loop.create_task")


def subtracts(node):
    return any(type(it) is ast.Sub for it in ast.walk(node))


def keeps_argument(node):
    """Whether it is `self.writer = writer`."""
    return (
        type(node) is ast.Assign
        and type(node.value) is ast.Name
        and type(node.targets[0]) is ast.Attribute
    )


class Walk(Expressions):
    """Goes through a file."""

    def Assign(self, node):
        known = self.visit(node.value)
        for target in node.targets:
            self.bind(target, known)
            timer = getattr(target, "attr", None)
            if known == "asyncio.TimerHandle()" and timer in self.stopped:
                self.use("cancel and call_later on one attribute", node)

    def AnnAssign(self, node):
        known = self.annotation(node.annotation)
        value = self.visit(node.value) if node.value else None
        self.bind(node.target, known or value)
        if type(node.target) is ast.Name:  # a field of a class
            self.remember(self.attributes, node.target.id, known or value)

    def AugAssign(self, node):
        awaits = self.awaits
        self.visit(node.value)
        self.visit(node.target)
        if self.awaits > awaits and type(node.target) is not ast.Name:
            self.use("value changed across an await", node)

    def Expr(self, node):
        if self.visit(node.value) == "asyncio.Task()" and type(node.value) is ast.Call:
            if self.quiet(node.value.func) in STARTS:
                self.use("create_task with its result thrown away", node)

    def Break(self, node):
        if self.loops and self.loops[-1]:
            self.use("async for left by break", node)

    def For(self, node):
        known, is_async = self.visit(node.iter), type(node) is ast.AsyncFor
        if is_async and known == "asyncio.StreamReader()":
            self.use("asyncio.StreamReader (async for line)", node)
        is_call = is_async and type(node.iter) is ast.Call
        if is_call and self.quiet(node.iter.func) == "asyncio.as_completed":
            self.use("asyncio.as_completed (async iteration)", node)
        self.bind(node.target, element(known))
        self.loop(node, is_async)

    AsyncFor = For

    def While(self, node):
        self.visit(node.test)
        self.loop(node, False)
        for part in node.body:
            call = getattr(getattr(part, "value", None), "value", None)
            if type(call) is ast.Call and self.quiet(call.func) == "asyncio.sleep":
                made = [
                    it for it in ast.walk(node) if type(it) is ast.Assign and subtracts(it.value)
                ]
                rests = {getattr(target, "id", None) for it in made for target in it.targets}
                is_rest = subtracts(call) or getattr(call.args[0], "id", "") in rests
                self.use("loop that sleeps the rest" if is_rest else "loop that sleeps", part)

    def loop(self, node, is_async):
        self.loops.append(is_async)
        self.visit_all(node.body)
        self.loops.pop()
        self.orelse(node)

    def orelse(self, node):
        if node.orelse and self.is_async:
            self.use("else", node.orelse[0])
        self.visit_all(node.orelse)

    def With(self, node):
        known = [self.visit(item.context_expr) for item in node.items]
        for item, value in zip(node.items, known):
            if item.optional_vars:
                self.bind(item.optional_vars, value)
        awaits = self.awaits
        self.visit_all(node.body)
        if self.awaits > awaits:
            if "asyncio.Lock()" in known:
                self.use("lock held across an await", node)
            if type(node) is ast.With and {"threading.Lock()", "threading.RLock()"} & {*known}:
                self.use("thread lock held across an await", node)

    AsyncWith = With

    def If(self, node):
        self.branches += 1
        for part in (node.test, *node.body, *node.orelse):
            self.visit(part)
        self.branches -= 1

    def Try(self, node):
        self.branches += 1
        awaits = self.awaits
        self.visit_all(node.body)
        has_awaited = self.awaits > awaits
        for handler in node.handlers:
            if self.is_async:
                self.use("except*" if type(node) is ast.TryStar else "except", handler)
            caught = self.visit(handler.type) if handler.type else None
            if "asyncio.CancelledError" in (caught if isinstance(caught, tuple) else [caught]):
                self.use("except CancelledError", handler)
            is_broad = re.match(r"(Base)?Exception$", getattr(handler.type, "id", "Exception"))
            if has_awaited and is_broad and type(handler.type) in (ast.Name, type(None)):
                self.use("except Exception around an await", handler)
            if handler.name:
                self.scopes[-1][handler.name] = None
            self.visit_all(handler.body)
        self.orelse(node)
        awaits = self.awaits
        self.visit_all(node.finalbody)
        if node.finalbody and self.is_async:
            self.use("finally", node.finalbody[0])
        if self.awaits > awaits:
            self.use("finally that awaits", node.finalbody[0])
        self.branches -= 1

    TryStar = Try

    def ClassDef(self, node):
        self.visit_all(node.decorator_list)
        bases = [str(self.visit(base)) for base in node.bases]
        # A class of this file, derived from one of asyncio, is known as what makes its values.
        bases = [base.removeprefix("->").removesuffix("()") for base in bases]
        bases = [base for base in bases if base.startswith("asyncio.")]
        base = next(iter(bases), None)
        # `else: class Queue(asyncio.Queue)` next to `from asyncio import Queue`.
        if base or not str(self.lookup(node.name)).startswith("asyncio."):
            self.scopes[-1][node.name] = base and f"->{base}()"
        own = OfClass({"self": f"{base}()"} if base else {})
        outer, self.scopes = self.scopes, [*self.scopes, own]
        for part in node.body:
            self.visit(part)
            if isinstance(part, FUNCTIONS) and part.name[0] != "_":
                overridden = (f"{base}.{part.name}" for base in bases)
                if path := next(filter(self.tables.find, overridden), None):
                    self.use_name(path, part)
        self.scopes = outer

    def FunctionDef(self, node):
        is_async = type(node) is ast.AsyncFunctionDef
        self.visit_all(node.decorator_list)
        if is_async:
            self.use("async def", node)
        if node.name.startswith("__a") and node.name in self.tables.entries:
            self.use(node.name, node)
        args, scope = node.args, {}
        self.visit_all(default for default in (*args.defaults, *args.kw_defaults) if default)
        every = (*args.posonlyargs, *args.args, *args.kwonlyargs)
        streams = {"reader": "asyncio.StreamReader()", "writer": "asyncio.StreamWriter()"}
        is_handler = streams.keys() <= {arg.arg for arg in every}
        for arg in every:
            known = self.annotation(arg.annotation) if arg.annotation else None
            guess = streams if is_handler else {"loop": "loop()"}
            scope[arg.arg] = known or guess.get(arg.arg, "?")
        if scope.get("self") == "?":
            scope["self"] = self.lookup("self")
        known = self.annotation(node.returns) if node.returns else None
        self.scopes[-1][node.name] = known and f"->{known}"
        self.remember(self.attributes, node.name, known and f"->{known}")
        seen = [it for it in self.scopes if type(it) is not OfClass]
        sets_up = node.name in SET_UP or any(keeps_argument(part) for part in node.body)
        for queue in [self.set_up, self.later][not sets_up :]:
            queue.append((node.body, [*seen, scope.copy()], is_async))

    AsyncFunctionDef = FunctionDef
