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
    books: str
    origin: str
    errors: list


class NoAnswer(Exception):
    def __init__(self, errors):
        super().__init__(f"no answer: {join(errors)}")


def join(errors):
    return "; ".join(map(str, errors))


@dataclass
class Books:
    """Recommends books to users."""

    sources: list
    limit: float
    keep: float
    default: str | None
    falls_back: tuple
    cache: dict = field(default_factory=dict)

    async def recommend(self, user):
        """Asks the sources in turn, then the cache, and then takes the default."""
        errors = []
        for source in self.sources:
            try:
                books = await self._ask(source, user)
            except self.falls_back as error:
                errors.append(error)
            except SourceError as error:
                self.cache.pop(user, None)
                raise NoAnswer([*errors, error]) from error
            else:
                self.cache[user] = books, time.monotonic()
                return Answer(books, f"from {source.name}", errors)
        if user in self.cache:
            books, at = self.cache[user]
            if time.monotonic() - at < self.keep:
                return Answer(books, "from the cache", errors)
        if self.default is None:
            raise NoAnswer(errors)
        return Answer(self.default, "by default", errors)

    async def _ask(self, source, user):
        try:
            async with asyncio.timeout(self.limit):
                return await source.recommend(user)
        except TimeoutError:
            raise Slow(f"{source.name} is slow") from None


@dataclass
class Source:
    name: str
    delay: float = 0.1
    is_up: bool = True

    async def recommend(self, user):
        await asyncio.sleep(self.delay)
        if not self.is_up:
            raise Down(f"{self.name} is down")
        if user != "Ann":
            raise NoUser(f"there is no user {user}")
        return "books on Rust"


async def report(asking):
    try:
        answer = await asking
        print(f"{answer.books}, {answer.origin}")
        if answer.errors:
            print(f"  as {join(answer.errors)}")
    except NoAnswer as error:
        print(error)


async def main():
    books = Books(
        sources=[Source("server A"), Source("server B")],
        limit=0.2,
        keep=0.5,
        default="bestsellers",
        falls_back=OUTAGES,
    )

    print("All is well:")
    await report(books.recommend("Ann"))

    print("A source is down:")
    books.sources[0].is_up = False
    await report(books.recommend("Ann"))

    print("One is slow, the other is down:")
    books.sources[0].delay = 0.3
    books.sources[1].is_up = False
    await report(books.recommend("Ann"))

    print("And when the last answer is too old:")
    await report(books.recommend("Ann"))

    print("Without a default:")
    default, books.default = books.default, None
    await report(books.recommend("Ann"))

    print("A wrong name:")
    books.default = default
    books.sources = [Source("server A"), Source("server B")]
    await report(books.recommend("Eva"))

    print("A wrong name, where every error falls back:")
    books.falls_back = (Exception,)
    await report(books.recommend("Eva"))


asyncio.run(main())
