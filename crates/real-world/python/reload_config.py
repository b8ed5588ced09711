import asyncio
import dataclasses
import json
import os
import signal
import tempfile
from pathlib import Path


class ConfigError(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class Config:
    greeting: str
    every_ms: int

    def __post_init__(self):
        if not 10 <= self.every_ms <= 60_000:
            raise ConfigError(
                f"every_ms: {self.every_ms} is not between 10 and 60000"
            )


def read(path):
    try:
        return Config(**json.loads(path.read_text()))
    except FileNotFoundError:
        raise ConfigError("cannot read the file: entity not found") from None
    except json.JSONDecodeError as error:
        raise ConfigError(f"line {error.lineno}: no JSON") from error
    except TypeError as error:
        raise ConfigError("a field is missing or unknown") from error


class ConfigFile:
    """Values from a file that can be loaded again."""

    def __init__(self, path):
        self._path = path
        self.values = read(path)
        self._changed = asyncio.Event()
        self.answered = asyncio.Event()

    async def reload(self):
        self.values = await asyncio.to_thread(read, self._path)
        # Each waiter has the old event, so it wakes once.
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self):
        await self._changed.wait()

    async def reload_on_hangup(self):
        hangup = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hangup.set)
        while True:
            await hangup.wait()
            hangup.clear()
            try:
                await self.reload()
                print("reloaded")
            except ConfigError as error:
                print(f"the old values stay: {error}")
            self.answered.set()


async def greet(config):
    while True:
        # One object for each piece of work: nobody changes it meanwhile.
        values = config.values
        print(values.greeting)
        try:
            async with asyncio.timeout(values.every_ms / 1000):
                await config.changed()
        except TimeoutError:
            pass


async def limit(config):
    while True:
        print(f"the limit is {config.values.every_ms} ms")
        await config.changed()


async def use(path):
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def at(seconds):
        await asyncio.sleep(start + seconds - loop.time())

    async def change(seconds, what, text):
        await at(seconds)
        print(f"{what}:")
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
        os.kill(os.getpid(), signal.SIGHUP)
        await config.answered.wait()
        config.answered.clear()

    path.write_text('{"greeting": "hello", "every_ms": 10000}')
    config = ConfigFile(path)
    reloading = asyncio.create_task(config.reload_on_hangup())

    await at(0.2)
    print("Two tasks with the values of a file:")
    tasks = [asyncio.create_task(task(config)) for task in (greet, limit)]
    try:
        await change(1, "Other values", '{"greeting": "hi", "every_ms": 20000}')
        await change(2, "Half a file", '{\n"greeting": "h')
        await change(2.5, "A wrong name", '{"greeting": "hi", "every": 10000}')
        text = '{"greeting": "hi", "every_ms": 0}'
        await change(3, "A value out of range", text)
        await change(3.5, "No file", None)
        text = '{"greeting": "good evening", "every_ms": 30000}'
        await change(4, "Right again", text)
        await at(5)
    finally:
        for task in (reloading, *tasks):
            task.cancel()
        await asyncio.gather(reloading, *tasks, return_exceptions=True)


async def main():
    with tempfile.TemporaryDirectory() as folder:
        await use(Path(folder) / "config.json")


asyncio.run(main())
