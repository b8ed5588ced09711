import asyncio
import functools


class ApiError(Exception):
    pass


class CallCache:
    """Responses by endpoint, computed by one call at a time, kept if it succeeds."""

    def __init__(self):
        self._calls = {}

    async def get(self, endpoint, call, *args):
        task = self._calls.get(endpoint)
        if task is None:
            task = self._calls[endpoint] = asyncio.create_task(call(*args))
            task.add_done_callback(functools.partial(self._ended, endpoint))
        return await asyncio.shield(task)

    def _ended(self, endpoint, task):
        if task.cancelled() or task.exception():
            del self._calls[endpoint]


class Database:
    """Does the work, and says so."""

    def __init__(self):
        self.queries = 0

    async def query(self, endpoint):
        self.queries += 1
        number = self.queries
        print(f"query {number}, for {endpoint}")
        await asyncio.sleep(0.8)
        print(f"query {number} ends")
        # The first for this endpoint.
        if (endpoint, number) == ("/flaky", 4):
            raise ApiError("the database does not answer")
        return f"result of query {number}"


class ApiHandler:
    """Handles requests."""

    def __init__(self):
        self._database = Database()
        self._responses = {}
        self._calls = CallCache()

    async def handle(self, endpoint):
        match endpoint:
            case "/fast":
                await asyncio.sleep(0.15)
                return "quick"
            case "/error":
                await asyncio.sleep(0.5)
                raise ApiError("the database does not answer")
            case "/stampede":
                return await self._look_up_then_store(endpoint)
            case "/report" | "/flaky" | "/users":
                return await self._calls.get(endpoint, self._database.query, endpoint)
            case _:
                raise ApiError(f"there is no {endpoint}")

    async def _look_up_then_store(self, endpoint):
        """The obvious cache."""
        if endpoint in self._responses:
            return self._responses[endpoint]
        response = await self._database.query(endpoint)
        self._responses[endpoint] = response
        return response


async def request_one(api, delay, number, endpoint):
    await asyncio.sleep(delay)
    print(f"[{number}] {endpoint}")
    try:
        print(f"[{number}] {await api.handle(endpoint)}")
    except ApiError as error:
        print(f"[{number}] error: {error}")


async def request(api, first, endpoints):
    """Requests the endpoints, 0.1 s apart, each without waiting for the one before."""
    await asyncio.gather(
        *(
            request_one(api, place / 10, first + place, endpoint)
            for place, endpoint in enumerate(endpoints)
        )
    )


async def main():
    api = ApiHandler()

    print("A cache of responses, looked up and then stored, queries twice:")
    await request(api, 1, ["/stampede", "/stampede"])

    print("A cache of calls queries once for each endpoint; other endpoints do not wait:")
    endpoints = ["/fast", "/report", "/report", "/error", "/nothing", "/fast"]
    await request(api, 3, endpoints)

    print("Later the response is there at once:")
    await request(api, 9, ["/report"])

    print("A failure is shared, but not kept:")
    await request(api, 10, ["/flaky", "/flaky"])
    await request(api, 12, ["/flaky"])

    print("The caller who began the call gives up after 0.3 s:")
    try:
        async with asyncio.timeout(0.3):
            await request(api, 13, ["/users"])
        print("was answered")
    except TimeoutError:
        print("gave up")
    await asyncio.sleep(0.6)
    await request(api, 14, ["/users"])


asyncio.run(main())
