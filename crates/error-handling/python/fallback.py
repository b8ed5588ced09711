import asyncio
import time
from dataclasses import dataclass, field


class SourceError(Exception):
    pass


class Down(SourceError):
    pass


class Slow(SourceError):
    pass


class NoUser(SourceError):
    pass


OUTAGES = (Down, Slow)


@dataclass
class Answer:
    value: str
    origin: str
    errors: list


class NoAnswer(Exception):
    def __init__(self, errors):
        super().__init__(f"no answer: {join(errors)}")


def join(errors):
    return "; ".join(map(str, errors))


@dataclass
class Fallback:
    """Sources, a cache and a default."""

    sources: list
    falls_back: tuple
    max_age: float
    default: str | None = None
    cache: dict = field(default_factory=dict)

    async def get(self, key):
        """Tries the sources in turn, then the cache, and then returns the default."""
        errors = []
        for source in self.sources:
            try:
                value = await source.get(key)
            except self.falls_back as error:
                errors.append(error)
            except SourceError as error:
                self.cache.pop(key, None)
                raise NoAnswer([*errors, error]) from error
            else:
                self.cache[key] = value, time.monotonic()
                return Answer(value, f"from {source.name}", errors)
        if key in self.cache:
            value, at = self.cache[key]
            if time.monotonic() - at < self.max_age:
                return Answer(value, "from the cache", errors)
        if self.default is None:
            raise NoAnswer(errors)
        return Answer(self.default, "by default", errors)


@dataclass
class Server:
    """A server that recommends books to users."""

    name: str
    delay: float = 0.1
    is_up: bool = True

    async def get(self, user):
        try:
            async with asyncio.timeout(0.2):
                await asyncio.sleep(self.delay)
        except TimeoutError:
            raise Slow(f"{self.name} is slow") from None
        if not self.is_up:
            raise Down(f"{self.name} is down")
        if user != "Ann":
            raise NoUser(f"there is no user {user}")
        return "books on Rust"


def servers():
    return [Server("server A"), Server("server B")]


async def report(books, user):
    try:
        answer = await books.get(user)
        print(f"{answer.value}, {answer.origin}")
        if answer.errors:
            print(f"  as {join(answer.errors)}")
    except NoAnswer as error:
        print(error)


async def main():
    books = Fallback(servers(), OUTAGES, max_age=0.5, default="bestsellers")

    print("All servers are up:")
    await report(books, "Ann")

    print("One is down:")
    books.sources[0].is_up = False
    await report(books, "Ann")

    print("One is slow, the other is down:")
    books.sources[0].delay = 0.3
    books.sources[1].is_up = False
    await report(books, "Ann")

    print("The cached value is too old:")
    await report(books, "Ann")

    print("Without a default:")
    default, books.default = books.default, None
    await report(books, "Ann")

    print("A wrong name:")
    books.default = default
    books.sources = servers()
    await report(books, "Eva")

    print("A wrong name, where every error falls back:")
    books.falls_back = (Exception,)
    await report(books, "Eva")


asyncio.run(main())
