import asyncio


class BadLine(Exception):
    """A line that does not count. The next line does."""


async def read_line(reader):
    """Returns the next line without its CRLF, or None at the end.

    After a BadLine, call it again. The limit is that of the StreamReader.
    """
    is_too_long = False
    while True:
        try:
            line = await reader.readuntil(b"\r\n")
            break
        except asyncio.LimitOverrunError as error:
            # The line stays in the buffer until somebody takes it out.
            await reader.readexactly(error.consumed)
            is_too_long = True
        except asyncio.IncompleteReadError as error:
            if error.partial or is_too_long:
                raise
            return None
    if is_too_long:
        raise BadLine("line too long")
    line = line.removesuffix(b"\r\n")
    if b"\r" in line or b"\n" in line:
        raise BadLine("CR or LF inside a line")
    return line


async def main():
    # As the one that start_server gives, with its parameter limit.
    reader = asyncio.StreamReader(limit=16)
    reader.feed_data(
        b"HELO here\r\n"
        b"MAIL FROM:<a-very-long-name@example.org>\r\n"
        b"NOOP\r\n"
        b"smuggled\n.\r\n"
        b"QUIT\r\n"
        b"NO"
    )
    reader.feed_eof()
    while True:
        try:
            line = await read_line(reader)
        except BadLine as error:
            print(f"500 {error}")
        except asyncio.IncompleteReadError:
            print("the last line has no end")
            break
        else:
            if line is None:
                print("the client has left")
                break
            print(f"line: {line.decode()}")


asyncio.run(main())
