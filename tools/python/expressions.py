"""What the expressions of a Python file use, and what is known of their values."""

import ast
import functools
import re

# asyncio's own modules, which its names are often taken from.
MODULES = re.compile(
    r"(?<=^asyncio\.)(base_events|coroutines|events|exceptions|futures|locks|protocols|queues"
    r"|runners|streams|taskgroups|tasks|threads|timeouts|transports|subprocess(?=\.create_))\."
)
LOOPS = re.compile(r"^asyncio\.(Abstract|Base|Selector|Proactor)?EventLoop\.")
# A call of these in a library gives a value whose methods belong to the library too.
MAKES = re.compile(r"\.(create|connect|from_|get_?logger|open|client|start|[A-Z])[^.]*$", re.I)
BLOCKING = re.compile(
    r"(open|input|time\.sleep|requests\..*|urllib\.request\.urlopen|os\.system"
    r"|sqlite3\.connect|subprocess\.(run|call|check_\w+)"
    r"|socket\.(create_connection|getaddrinfo|gethostby\w+|getfqdn|getnameinfo)"
    r"|socket\.socket\.(accept|connect|recv|sendall)|shutil\.(copy\w*|move|rmtree)"
    r"|pathlib\.Path\.(read|write)_(text|bytes)|queue\.Queue\.(get|put|join)"
    r"|threading\.(Event\.wait|Lock\.acquire|Thread\.join)|psycopg2\.connect|pymysql\.connect"
    r"|concurrent\.futures\.(wait|Future\.result))$"
)
CLIENTS = ("aiohttp.ClientSession", "httpx.AsyncClient", "httpx.Client", "requests.Session")
SET_UP = ("__init__", "__post_init__", "__aenter__", "start", "setup", "connect")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
AWAITS = {ast.Await: "await", ast.AsyncFor: "async for", ast.AsyncWith: "async with"}
CONSTRUCTS = {
    ast.Return: "return",
    ast.Raise: "raise",
    ast.Break: "break",
    ast.Lambda: "lambda",
    ast.Yield: "yield",
    ast.With: "with",
    ast.Try: "try",
    ast.TryStar: "try",
    ast.Global: "global variable in async code",
}


@functools.cache
def canonical(path):
    """Returns a name of asyncio as the table has it."""
    return LOOPS.sub("loop.", MODULES.sub("", path))


def is_real(path):
    """Returns whether asyncio has the name. If not, the type was taken for another one."""
    import asyncio

    value = asyncio
    for name in path.replace("loop.", "asyncio.AbstractEventLoop.").split(".")[1:]:
        value = getattr(value, name, None)
    return value is not None


def is_value(known):
    return isinstance(known, str) and known.endswith("()")


def element(known):
    return known[2:] if isinstance(known, str) and known.startswith("[]") else None


class OfClass(dict):
    """The names of a class, which its methods see only through `self`."""


class Expressions:
    """Goes through expressions; `Walk` adds the statements. Each visit of an expression returns
    what is known of its value: a full name such as `asyncio.Queue`; `asyncio.Queue()` for a value
    of this class; `[]asyncio.Task()` for several; `->asyncio.Queue()` for what returns one when
    it is called; a tuple of these; or nothing."""

    def __init__(self, tables, tree):
        self.tables, self.types = tables, tables.types
        self.uses, self.unknown, self.others = [], [], set()
        self.scopes, self.attributes, self.variables = [{}], {}, {}
        self.set_up, self.later, self.loops, self.stopped = [], [], [], set()
        self.is_async, self.awaits, self.branches, self.roots = False, 0, 0, set()
        self.visit_all(tree.body)
        # The bodies of functions come last, `main` before its helpers: then the types of
        # parameters without annotation are known by the names of variables. What sets the
        # attributes of objects comes before all others, and once more in its turn.
        while queue := self.set_up or self.later:
            body, self.scopes, self.is_async = queue.pop()
            self.loops, self.stopped = [], set()
            self.visit_all(body)

    def use(self, key, node):
        self.uses.append((key, node.lineno))

    def use_name(self, path, node):
        of_class, _, method = path.rpartition(".")
        if method.endswith("__") and not self.tables.find(path):
            path = of_class  # `super().__init__()`
        if key := self.tables.find(path):
            self.use(key, node)
        elif re.match(r"(asyncio|loop)\.(?!_)", path) and is_real(path):
            self.unknown.append((path, node.lineno))

    def visit_all(self, nodes):
        for node in nodes:
            self.visit(node)

    def visit(self, node, is_whole=True):
        """Visits any node; `is_whole` says that no attribute of it is taken."""
        kind = type(node)
        if kind is ast.Name:
            return self.name(node, is_whole)
        if kind is ast.Attribute:
            return self.attribute(node, is_whole)
        if kind is ast.Constant:
            if node.value == "surrogateescape":  # of `encode`, `decode` and `open`
                self.use(node.value, node)
            return None
        if kind in AWAITS:
            self.awaits += 1
            self.use(AWAITS[kind], node)
        elif self.is_async and kind in CONSTRUCTS:
            self.use(CONSTRUCTS[kind], node)
        if special := self.special(kind):
            return special(self, node)
        for field in node._fields:
            value = getattr(node, field)
            if type(value) is list:
                for part in value:
                    if isinstance(part, ast.AST):
                        self.visit(part)
            elif isinstance(value, ast.AST):
                self.visit(value)
        return None

    @classmethod
    @functools.cache
    def special(cls, kind):
        return getattr(cls, kind.__name__, None)

    def quiet(self, node):
        """Visits without a record."""
        before = self.uses, self.unknown, self.awaits
        self.uses, self.unknown = [], []
        known = self.visit(node)
        self.uses, self.unknown, self.awaits = before
        return known

    def is_get(self, node):
        """Returns whether it is a call of a queue's `get`."""
        called = getattr(node, "func", None)
        is_named = type(called) is ast.Attribute and called.attr == "get"
        return is_named and self.quiet(called.value) == "asyncio.Queue()"

    # Names.

    def lookup(self, name):
        for scope in reversed(self.scopes):
            if name in scope:
                return self.variables.get(name) if scope[name] == "?" else scope[name]
        return None

    def bind(self, target, known):
        kind = type(target)
        if kind is ast.Name:
            self.scopes[-1][target.id] = known
            self.remember(self.variables, target.id, known)
        elif kind is ast.Attribute:
            self.visit(target)
            self.remember(self.attributes, target.attr, known)
        elif kind in (ast.Tuple, ast.List):
            parts = known if isinstance(known, tuple) else ()
            for at, part in enumerate(target.elts):
                self.bind(part, parts[at] if at < len(parts) else None)
        elif kind is ast.Subscript and is_value(known):
            self.visit(target.slice)
            self.bind(target.value, f"[]{known}")
        else:
            self.visit(target)

    def remember(self, names, name, known):
        """Keeps what is known by a name alone, unless two values of that name differ."""
        if isinstance(known, tuple) or is_value(known):
            names[name] = known if names.get(name, known) == known else None

    def name(self, node, is_whole):
        known, name = self.lookup(node.id), node.id
        if known is None and name == "TimeoutError":
            self.use("asyncio.TimeoutError", node)
        elif known is None and name in self.tables.entries:
            is_language = self.tables.entries[name]["kind"] == "language"
            if is_language and (self.is_async or name not in ("zip", "enumerate")):
                self.use(name, node)
        elif is_whole and isinstance(known, str) and "." in known and not is_value(known):
            self.use_name(known, node)
        return name if known is None and name in ("open", "input", "anext") else known

    def attribute(self, node, is_whole):
        base, attr = self.visit(node.value, False), node.attr
        if several := element(base):
            gives = {"pop": several, "get": several, "values": base}
            return f"->{gives[attr]}" if attr in gives else None
        if isinstance(base, str) and "->" not in base:
            path = canonical(f"{base.removesuffix('()')}.{attr}")
            is_self = type(node.value) is ast.Name and node.value.id == "self"
            if not is_self or self.tables.find(path):
                if is_whole:
                    self.use_name(path, node)
                return self.types["value"].get(path, path)
        known = self.attributes.get(attr)
        if known is None and (path := self.types["by name"].get(attr)):
            self.use(path, node)
            return path
        return known

    def Import(self, node):
        for alias in node.names:
            root = alias.name.partition(".")[0]
            self.library(alias.name, (), node)
            self.scopes[-1][alias.asname or root] = alias.name if alias.asname else root

    def ImportFrom(self, node):
        if node.level:
            return
        names = [alias.name for alias in node.names]
        self.library(node.module, names, node)
        for alias in node.names:
            path, name = canonical(f"{node.module}.{alias.name}"), alias.asname or alias.name
            # `except ImportError: from async_timeout import timeout` takes no name away.
            is_fallback = self.branches and str(self.lookup(name)).startswith("asyncio.")
            if not is_fallback or path.startswith("asyncio."):
                self.scopes[-1][name] = path
        if names == ["*"]:
            for key in self.tables.entries:
                module, _, name = key.rpartition(".")
                if module == node.module:
                    self.scopes[-1][name] = key

    def library(self, module, names, node):
        root = module.partition(".")[0]
        self.roots.add(root)
        paths = [f"{module}.{name}" for name in names] or [module]
        keys = {self.tables.find(path) for path in paths} if root != "asyncio" else ()
        for key in keys:
            self.use(key, node) if key else self.others.add(root)

    # Expressions.

    def made(self, path):
        """Returns what a call of a name gives."""
        if path in self.types["call"]:
            return self.types["call"][path]
        if path.startswith(("asyncio.", "loop.")):
            is_class = path.rpartition(".")[2][0].isupper()
            return f"{path}()" if is_class and path.count(".") < 3 else None
        return f"{path}()" if MAKES.search(path) else None

    def Call(self, node):
        func = node.func
        path = self.visit(func)
        values = [self.visit(arg) for arg in node.args]
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        self.visit_all(keyword.value for keyword in node.keywords)
        first = values[0] if values else None
        if type(func) is ast.Attribute and func.attr in ("add", "append") and is_value(first):
            self.bind(func.value, f"[]{first}")
        if type(func) is ast.Attribute and func.attr == "cancel":
            self.stopped.add(getattr(func.value, "attr", None))
        is_watch = type(func) is ast.Attribute and func.attr == "watch" and node.args
        if is_watch and self.roots & {"redis", "aioredis"}:
            self.use("watch on a pipeline of Redis", node)
        if path is None and type(func) is ast.Name:  # list(tasks)
            return first if element(first) else None
        if "default_factory" in given:  # of a dataclass's field
            made = self.quiet(given["default_factory"])
            return self.made(made) if isinstance(made, str) else None
        if not isinstance(path, str) or is_value(path):
            return path[2:] if isinstance(path, str) and path.startswith("->") else None
        self.variants(path, node, values, given)
        for pattern in self.patterns(path, node.args, values, given):
            self.use(pattern, node)
        return self.made(path)

    def variants(self, path, node, values, given):
        """Rows of calls with an argument: `asyncio.sleep(0)`, `asyncio.run(debug=)`."""
        rows = self.tables.variants.get(path, ())
        first = ast.unparse(node.args[0]) if node.args and rows else None
        for name, argument, is_keyword, value in rows:
            if is_keyword:
                has = argument in given and value in ("", ast.unparse(given[argument]))
                has = has or name == "asyncio.sleep(result=)" and len(values) > 1
            elif argument == "default":
                has = len(values) > 1
            else:
                has = first == argument or any(f".{argument}()" in str(it) for it in values)
            if has:
                self.use(name, node)

    def patterns(self, path, args, values, given):
        if path == "asyncio.gather":
            if "return_exceptions" not in given:
                yield "gather without return_exceptions"
            starred = [arg.value for arg in args if type(arg) is ast.Starred]
            held = [getattr(it, "func", it) for it in starred]
            are_held = held and all("self." in ast.unparse(it) for it in held)
            if are_held and all(self.quiet(it) == "[]asyncio.Task()" for it in starred):
                yield "gather of running tasks"
            elif starred:
                yield "gather of a whole list"
        elif path in ("asyncio.Queue", "asyncio.LifoQueue", "asyncio.PriorityQueue"):
            limit = args[0] if args else given.get("maxsize")
            if limit is None or getattr(limit, "value", 1) == 0:
                yield from ("queue without a limit", "asyncio.Queue(maxsize=0)")
        elif path == "asyncio.wait_for" and values[:1] == ["asyncio.Task()"]:
            yield "wait_for around a task"
        elif path == "asyncio.wait_for" and args and self.is_get(args[0]):
            yield "wait_for around the get of a queue"
        elif path == "loop.run_in_executor" and args and type(args[0]) is not ast.Constant:
            yield "run_in_executor with a pool"
        elif path in CLIENTS and self.loops:
            yield "client made in a loop"
        if self.is_async and path in ("asyncio.run", "loop.run_until_complete"):
            yield "asyncio.run inside async code"
        if self.is_async and BLOCKING.match(path):
            yield "blocking call in async code"

    def Await(self, node):
        known = self.visit(node.value)
        return None if known in ("asyncio.Task()", "asyncio.Future()") else known

    def NamedExpr(self, node):
        known = self.visit(node.value)
        self.bind(node.target, known)
        return known

    def Starred(self, node):
        return element(self.visit(node.value))

    def Subscript(self, node):
        known, at = self.visit(node.value), getattr(node.slice, "value", None)
        self.visit(node.slice)
        if isinstance(known, tuple):
            return known[at] if isinstance(at, int) and at < len(known) else None
        return element(known) or known

    def either(self, node):
        known = [self.visit(child) for child in ast.iter_child_nodes(node)]
        return next(filter(None, known[type(node) is ast.IfExp :]), None)

    IfExp = BoolOp = either

    def Tuple(self, node):
        return tuple(self.visit(part) for part in node.elts)

    def several(self, node):
        parts = node.values if type(node) is ast.Dict else node.elts
        self.visit_all(key for key in getattr(node, "keys", ()) if key)
        known = [self.visit(part) for part in parts]
        return f"[]{known[0]}" if known and is_value(known[0]) else None

    List = Set = Dict = several

    def comprehension(self, node):
        outer, awaits = self.scopes, self.awaits
        self.scopes = [*outer, {}]
        for part in node.generators:
            self.bind(part.target, element(self.visit(part.iter)))
            self.visit_all(part.ifs)
        parts = (node.key, node.value) if type(node) is ast.DictComp else (node.elt,)
        known = [self.visit(part) for part in parts][-1]
        self.scopes = outer
        if self.awaits > awaits or any(part.is_async for part in node.generators):
            is_lazy = type(node) is ast.GeneratorExp
            self.use("async generator expression" if is_lazy else "async comprehension", node)
        return f"[]{known}" if is_value(known) else None

    ListComp = SetComp = DictComp = GeneratorExp = comprehension

    def Lambda(self, node):
        was, self.is_async = self.is_async, False
        self.scopes = [*self.scopes, {arg.arg: "?" for arg in node.args.args}]
        self.visit(node.body)
        self.scopes, self.is_async = self.scopes[:-1], was

    def annotation(self, node):
        """Returns the value that an annotation promises."""
        kind = type(node)
        if kind is ast.Constant and isinstance(node.value, str):
            try:
                inner = ast.parse(node.value, mode="eval").body
            except (SyntaxError, ValueError):
                return None
            for part in ast.walk(inner):
                part.lineno = node.lineno
            return self.annotation(inner)
        if kind is ast.BinOp:
            return self.annotation(node.left) or self.annotation(node.right)
        if kind is ast.Subscript:
            parts = node.slice.elts if type(node.slice) is ast.Tuple else [node.slice]
            inner = [self.annotation(part) for part in parts]
            base = self.annotation(node.value)
            name = getattr(node.value, "id", getattr(node.value, "attr", ""))
            if name in ("Optional", "Union", "Annotated", "Final", "ClassVar"):
                return next(filter(None, inner), None)
            is_list = inner and is_value(inner[-1]) and not str(base).startswith("asyncio.")
            return f"[]{inner[-1]}" if is_list else base
        if kind not in (ast.Name, ast.Attribute):
            return None
        path = self.visit(node)
        if not isinstance(path, str) or is_value(path) or "." not in path:
            return path[2:] if str(path).startswith("->") else None
        return self.made(path) if path in self.types["call"] else f"{path}()"
