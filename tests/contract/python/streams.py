import asyncio
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support import run, settle, yes


def shown(data):
    return '"' + data.decode().replace("\r", "\\r").replace("\n", "\\n") + '"'


def fed(data, limit=2**16):
    """A reader that holds these bytes and then ends."""
    reader = asyncio.StreamReader(limit=limit)
    reader.feed_data(data)
    reader.feed_eof()
    return reader


# read.


async def read_zero():
    reader = fed(b"hello")
    count = len(await reader.read(0))
    return f"{count} bytes, then {shown(await reader.read())}"


async def read_some():
    return shown(await fed(b"hello").read(3))


async def read_buffer():
    return shown(await fed(b"hello").read(4096))


async def read_line_breaks():
    return shown(await fed(b"one\ntwo\n").read(6))


async def read_waits():
    reader = asyncio.StreamReader()
    reading = asyncio.create_task(reader.read(100))
    await settle()
    reader.feed_data(b"")
    await settle()
    before = reading.done()
    reader.feed_data(b"hello")
    return f"ended by nothing: {yes(before)}; then {shown(await reading)}"


async def read_until_end():
    reader = asyncio.StreamReader()
    reader.feed_data(b"one\n")
    reading = asyncio.create_task(reader.read())
    await settle()
    reader.feed_data(b"two")
    reader.feed_eof()
    return shown(await reading)


# readline.


async def readline():
    reader = fed(b"one\ntwo\n")
    line = shown(await reader.readline())
    return f"{line}, left {shown(await reader.read())}"


async def readline_pieces():
    reader = asyncio.StreamReader()
    reading = asyncio.create_task(reader.readline())
    for piece in b"on", b"e", b"\ntwo":
        reader.feed_data(piece)
        await settle()
    return shown(await reading)


async def readline_twice():
    reader = fed(b"one\ntwo\n")
    await reader.readline()
    return shown(await reader.readline())


async def readline_then_bytes():
    reader = fed(b"5\nhelloend\n")
    size = int(await reader.readline())
    body = await reader.readexactly(size)
    return f"{shown(body)}, {shown(await reader.readline())}"


async def readline_no_text():
    data = await fed(b"caf\xe9\n").readline()
    return f"{len(data)} bytes"


async def readline_cancelled():
    reader = asyncio.StreamReader()
    reader.feed_data(b"hel")
    try:
        await asyncio.wait_for(reader.readline(), 0.05)
    except TimeoutError:
        pass
    reader.feed_data(b"lo\n")
    return shown(await reader.readline())


async def for_line():
    return ", ".join([shown(line) async for line in fed(b"one\ntwo")])


# limit=.


async def refused(read):
    try:
        return f"returns {len(await read)} bytes"
    except (ValueError, asyncio.LimitOverrunError):
        return "is refused"


async def limit_line():
    return await refused(fed(b"x" * 2000 + b"\n", limit=1000).readline())


async def limit_exact():
    seven = await refused(fed(b"1234567\n", limit=7).readline())
    eight = await refused(fed(b"12345678\n", limit=7).readline())
    passes = "is refused" if seven == "is refused" else "passes"
    return f"one of 7 {passes}, one of 8 {eight}"


async def limit_next_line():
    reader = fed(b"one\n12345678\nthree\nfour\n", limit=7)
    told = []
    while True:
        try:
            line = await reader.readline()
        except ValueError:
            told.append("refused")
            continue
        if not line:
            return ", ".join(told)
        told.append(line.decode().strip())


async def limit_three_lines():
    reader = fed(b"abc\ndef\nghi\n", limit=7)
    return ", ".join([line.decode().strip() async for line in reader])


async def limit_readuntil():
    return await refused(fed(b"x" * 2000 + b";", limit=1000).readuntil(b";"))


async def limit_readexactly():
    return f"returns {len(await fed(b'x' * 2000, limit=1000).readexactly(2000))} bytes"


# readuntil.


async def readuntil():
    reader = fed(b"SET a 100;GET a;")
    record = shown(await reader.readuntil(b";"))
    return f"{record}, left {shown(await reader.read())}"


async def readuntil_two_bytes():
    return shown(await fed(b"hello\n.\r\nbye\r\n").readuntil(b"\r\n"))


async def readuntil_over_pieces():
    reader = asyncio.StreamReader()
    reading = asyncio.create_task(reader.readuntil(b"\r\n"))
    for piece in b"one\r", b"two\r", b"\nrest":
        reader.feed_data(piece)
        await settle()
    return shown(await reading)


async def readuntil_several():
    reader = fed(b"one;two\nthree")
    first = await reader.readuntil((b";", b"\n"))
    second = await reader.readuntil((b";", b"\n"))
    return f"{shown(first)}, {shown(second)}"


async def readuntil_several_limit():
    reader = fed(b"x" * 2000 + b";", limit=1000)
    return await refused(reader.readuntil((b";", b"\n")))


async def readuntil_cut():
    reader = fed(b"one;tw")
    await reader.readuntil(b";")
    try:
        return f"returns {shown(await reader.readuntil(b';'))}"
    except asyncio.IncompleteReadError:
        return "fails"


# readexactly.


async def readexactly():
    reader = fed(b"hello")
    nothing = await reader.readexactly(0)
    return f"{shown(nothing)}, {shown(await reader.readexactly(4))}"


async def readexactly_partial():
    try:
        await fed(b"hello").readexactly(9)
    except asyncio.IncompleteReadError as error:
        return f"fails, and has {shown(error.partial)}"


async def readexactly_cancelled():
    reader = asyncio.StreamReader()
    reader.feed_data(b"hel")
    try:
        await asyncio.wait_for(reader.readexactly(5), 0.05)
    except TimeoutError:
        pass
    reader.feed_data(b"lo")
    return shown(await reader.readexactly(5))


def probes():
    yield "stream.read.zero-takes-nothing", read_zero()
    yield "stream.read.at-most-n", read_some()
    for counterpart in ["", "@read_buf", "@length"]:
        yield f"stream.read.into-buffer{counterpart}", read_buffer()
    yield "stream.read.ignores-line-breaks", read_line_breaks()
    yield "stream.read.waits-for-data", read_waits()
    yield "stream.read.all-waits-for-end", read_until_end()
    yield "stream.readline.leaves-the-rest", readline()
    yield "stream.readline.over-pieces", readline_pieces()
    for counterpart in ["", "@clear"]:
        yield f"stream.readline.only-this-line{counterpart}", readline_twice()
    yield "stream.readline.then-bytes", readline_then_bytes()
    for counterpart in ["", "@read_until"]:
        yield f"stream.readline.any-bytes{counterpart}", readline_no_text()
    for counterpart in ["", "@next_line", "@read_until"]:
        clause = f"stream.readline.cancelled-loses-nothing{counterpart}"
        yield clause, readline_cancelled()
    yield "stream.for.lines-with-ends", for_line()
    for counterpart in ["", "@LinesCodec"]:
        yield f"stream.limit.long-line-refused{counterpart}", limit_line()
    yield "stream.limit.exact-length-passes@LinesCodec", limit_exact()
    for counterpart in ["", "@skip-one-None"]:
        yield f"stream.limit.next-line-is-read{counterpart}", limit_next_line()
    yield "stream.limit.each-line-alone@take", limit_three_lines()
    for counterpart in ["", "@AnyDelimiterCodec"]:
        yield f"stream.limit.long-record-refused{counterpart}", limit_readuntil()
    yield "stream.limit.not-for-readexactly", limit_readexactly()
    yield "stream.readuntil.one-byte", readuntil()
    for counterpart in ["", "@decoder"]:
        clause = f"stream.readuntil.two-bytes{counterpart}"
        yield clause, readuntil_two_bytes()
    yield "stream.readuntil.over-pieces@decoder", readuntil_over_pieces()
    yield "stream.readuntil.several@AnyDelimiterCodec", readuntil_several()
    yield "stream.readuntil.several-limit@AnyDelimiterCodec", readuntil_several_limit()
    yield "stream.readuntil.fails-unfinished@AnyDelimiterCodec", readuntil_cut()
    yield "stream.readuntil.fails-unfinished@decoder", readuntil_cut()
    yield "stream.readexactly.gives-n", readexactly()
    yield "stream.readexactly.error-has-part@read_buf", readexactly_partial()
    for counterpart in ["", "@read_buf"]:
        clause = f"stream.readexactly.cancelled-loses-nothing{counterpart}"
        yield clause, readexactly_cancelled()


run(probes, 2)
