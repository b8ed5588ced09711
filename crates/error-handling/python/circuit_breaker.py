import asyncio
from enum import Enum, auto


class State(Enum):
    Closed = auto()
    Open = auto()
    HalfOpen = auto()


class Rejected(Exception):
    """The call was not made."""


class CircuitBreaker:
    """Rejects calls of a service after some consecutive failures.

    Only errors of the types `failures` are failures.
    """

    def __init__(self, failure_threshold, open_duration, failures):
        self._failure_threshold = failure_threshold
        self._open_duration = open_duration
        self._failure_types = failures
        self._failures = 0
        self._open_since = None
        self._probing = False
        self._generation = 0

    async def call(self, func, *args):
        generation = self._admit()
        try:
            result = await func(*args)
        except Exception as error:
            self._record(generation, failed=isinstance(error, self._failure_types))
            raise
        except BaseException:
            # Cancelled: that says nothing about the service.
            if generation == self._generation:
                self._probing = False
            raise
        self._record(generation, failed=False)
        return result

    def state(self):
        if self._open_since is None:
            return State.Closed
        now = asyncio.get_running_loop().time()
        is_open = now - self._open_since < self._open_duration
        return State.Open if is_open else State.HalfOpen

    def _admit(self):
        match self.state():
            case State.Open:
                raise Rejected("the circuit is open")
            case State.HalfOpen if self._probing:
                raise Rejected("the circuit is half-open")
            case State.HalfOpen:
                self._probing = True
        return self._generation

    def _record(self, generation, failed):
        if generation != self._generation:
            return
        self._failures = self._failures + 1 if failed else 0
        opens = failed and self._failures >= self._failure_threshold
        if opens or self._probing:
            self._generation += 1
        self._probing = False
        self._open_since = asyncio.get_running_loop().time() if opens else None


class ServiceError(Exception):
    pass


class Unavailable(ServiceError):
    pass


class NotFound(ServiceError):
    pass


UNAVAILABLE = Unavailable("503 Service Unavailable")
NOT_FOUND = NotFound("404 Not Found")
OK = "200 OK"
HANGS = None


async def get(response):
    """Responds after 0.1 s."""
    await asyncio.sleep(0.1)
    if response is HANGS:
        await asyncio.Event().wait()
    if isinstance(response, ServiceError):
        raise response
    return response


async def get_in_time(response):
    async with asyncio.timeout(0.15):
        return await get(response)


class Client:
    def __init__(self):
        self._breaker = CircuitBreaker(3, 0.5, (Unavailable, TimeoutError))

    async def call(self, response):
        """With a timeout of 0.15 s in the call."""
        await self._print(self._breaker.call(get_in_time, response))

    async def call_wrongly(self, response):
        """With the timeout around the breaker."""

        async def call():
            async with asyncio.timeout(0.15):
                return await self._breaker.call(get, response)

        await self._print(call())

    async def _print(self, call):
        try:
            outcome = await call
        except TimeoutError:
            outcome = "no response in time"
        except (Rejected, ServiceError) as error:
            outcome = error
        print(f"{outcome} ({self._breaker.state().name})")


async def main():
    open_duration = 0.5

    print("Three consecutive failures open the circuit:")
    client = Client()
    for response in [UNAVAILABLE, UNAVAILABLE, NOT_FOUND]:
        await client.call(response)
    for response in [UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, OK]:
        await client.call(response)

    print("0.5 s later there is one probe, which fails:")
    await asyncio.sleep(open_duration)

    async def second():
        await asyncio.sleep(0.05)
        await client.call(OK)

    await asyncio.gather(client.call(UNAVAILABLE), second())
    await client.call(OK)

    print("0.5 s later the next probe is cancelled, and the one after it succeeds:")
    await asyncio.sleep(open_duration)
    await client.call_wrongly(HANGS)
    await client.call(OK)

    print("The service hangs, and the timeout is around the breaker:")
    for _ in range(3):
        await client.call_wrongly(HANGS)
    print("The timeout is in the call:")
    for _ in range(3):
        await client.call(HANGS)


asyncio.run(main())
