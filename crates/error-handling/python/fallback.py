import asyncio
from dataclasses import dataclass, field


class ServerError(Exception):
    pass


class Down(ServerError):
    pass


class Slow(ServerError):
    pass


class NoUser(ServerError):
    pass


@dataclass
class Server:
    """A server that recommends books to users."""

    name: str
    delay: float = 0.1
    is_up: bool = True

    async def recommend(self, user):
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


@dataclass
class Books:
    servers: list
    cache: dict = field(default_factory=dict)

    async def recommend(self, user):
        """Asks the servers in turn, then the cache."""
        for server in self.servers:
            try:
                self.cache[user] = await server.recommend(user)
                return self.cache[user]
            except (Down, Slow) as error:
                print(f"fallback: {error}")
        return self.cache.get(user, "bestsellers")


async def report(books, user):
    try:
        print(f"{user}: {await books.recommend(user)}")
    except ServerError as error:
        print(f"error: {error}")


async def main():
    books = Books([Server("server A"), Server("server B")])

    print("One server is down:")
    books.servers[0].is_up = False
    await report(books, "Ann")

    print("A user whom nobody knows:")
    await report(books, "Eva")

    print("One server is down, the other is slow; only Ann is in the cache:")
    books.servers[1].delay = 0.3
    await report(books, "Ann")
    await report(books, "Eva")


asyncio.run(main())
