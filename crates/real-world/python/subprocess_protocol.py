import asyncio


class Process(asyncio.SubprocessProtocol):
    """Shows what its child writes, and its end."""

    def __init__(self, quiet_at_the_end=False):
        loop = asyncio.get_running_loop()
        self.quiet_at_the_end = quiet_at_the_end
        self.first = loop.create_future()
        self.ended = loop.create_future()

    def connection_made(self, transport):
        self.transport = transport

    def pipe_data_received(self, fd, data):
        print(f"{fd}: {data.decode().rstrip()}")
        if not self.first.done():
            self.first.set_result(None)

    def pipe_connection_lost(self, fd, error):
        # The input is reported as well.
        if fd != 0 and not self.quiet_at_the_end:
            print(f"{fd}: the end")

    def process_exited(self):
        if not self.quiet_at_the_end:
            code = self.transport.get_returncode()
            print(f"exit code {code}" if code >= 0 else "ended by a signal")

    def connection_lost(self, error):
        self.ended.set_result(None)


async def main():
    loop = asyncio.get_running_loop()
    first = loop.time() + 0.2

    async def part(number):
        await asyncio.sleep(first + number * 1.0 - loop.time())

    tenth = 0.1

    await part(0)
    print("Output, the end of one pipe, the exit, and output after that:")
    script = """read name; echo hello $name; sleep 0.2; exec >&-; sleep 0.2
                (sleep 0.2; echo late >&2) & exit 3"""
    transport, process = await loop.subprocess_exec(Process, "sh", "-c", script)
    transport.get_pipe_transport(0).write(b"world\n")
    await process.ended
    print("all has ended")
    transport.close()

    await part(1)
    print("Killed while it waits for more input:")
    transport, process = await loop.subprocess_exec(
        lambda: Process(quiet_at_the_end=True), "cat"
    )
    transport.get_pipe_transport(0).write(b"some input\n")
    await process.first
    await asyncio.sleep(tenth)
    print(f"has ended: {str(transport.get_returncode() is not None).lower()}")
    transport.kill()
    await process.ended
    code = transport.get_returncode()
    print(f"has ended: {str(code is not None).lower()}")
    if code < 0:
        print("ended by a signal")
    transport.close()


asyncio.run(main())
