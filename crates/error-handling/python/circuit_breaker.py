import asyncio
from collections import deque
from enum import Enum, auto

REST = 0.5


class State(Enum):
    Closed = auto()
    Open = auto()
    HalfOpen = auto()


class Rejected(Exception):
    """The call was not made."""


class CircuitBreaker:
    """Rejects calls of a service after `threshold` failures in a row, for `rest` seconds.

    Only errors of the types `counts` are failures.
    """

    def __init__(self, threshold, rest, counts):
        self._threshold = threshold
        self._rest = rest
        self._counts = counts
        self._state = State.Closed
        self._changes = 0
        self._failures = 0
        self._open_since = None
        self._trial_runs = False

    async def call(self, func, *args):
        changes = self._admit()
        try:
            result = await func(*args)
        except Exception as error:
            self._end(changes, failed=isinstance(error, self._counts))
            raise
        except BaseException:
            # Cancelled: that says nothing of the service.
            if changes == self._changes:
                self._trial_runs = False
            raise
        self._end(changes, failed=False)
        return result

    def state(self):
        if self._state is State.Open and self._rested():
            return State.HalfOpen
        return self._state

    def _admit(self):
        if self._state is State.Open:
            if not self._rested():
                raise Rejected("rejected, as the circuit is open")
            self._change(State.HalfOpen)
        if self._state is State.HalfOpen:
            if self._trial_runs:
                raise Rejected("rejected, as the trial runs")
            self._trial_runs = True
        return self._changes

    def _end(self, changes, failed):
        if changes != self._changes:
            return
        self._failures = self._failures + 1 if failed else 0
        if failed and (self._trial_runs or self._failures == self._threshold):
            self._change(State.Open)
            self._open_since = asyncio.get_running_loop().time()
        elif self._trial_runs:
            self._change(State.Closed)

    def _change(self, state):
        self._state = state
        self._changes += 1
        self._failures = 0
        self._trial_runs = False

    def _rested(self):
        now = asyncio.get_running_loop().time()
        return now - self._open_since >= self._rest


class ServiceError(Exception):
    pass


class Unavailable(ServiceError):
    def __str__(self):
        return "503 Service Unavailable"


class NotFound(ServiceError):
    def __str__(self):
        return "404 Not Found"


class NoAnswer(ServiceError):
    def __str__(self):
        return "no answer in time"


class Answer(Enum):
    Value = auto()
    Unavailable = auto()
    NotFound = auto()
    Hangs = auto()


class Service:
    """A service that does with each call as it was told to, and answers after 0.1 s."""

    def __init__(self, answers):
        self._answers = deque(answers)

    async def get(self):
        answer = self._answers.popleft() if self._answers else Answer.Value
        await asyncio.sleep(0.1)
        match answer:
            case Answer.Value:
                return "200 OK"
            case Answer.Unavailable:
                raise Unavailable
            case Answer.NotFound:
                raise NotFound
            case Answer.Hangs:
                await asyncio.get_running_loop().create_future()

    async def get_within(self, seconds):
        try:
            async with asyncio.timeout(seconds):
                return await self.get()
        except TimeoutError:
            raise NoAnswer from None


class Client:
    def __init__(self, *answers):
        self._breaker = CircuitBreaker(3, REST, (Unavailable, NoAnswer))
        self._service = Service(answers)

    async def call(self, number):
        """A deadline of 0.15 s in the call."""
        try:
            outcome = await self._breaker.call(self._service.get_within, 0.15)
        except (Rejected, ServiceError) as error:
            outcome = error
        self._print(number, outcome)

    async def call_wrongly(self, number):
        """The deadline around the breaker."""
        try:
            async with asyncio.timeout(0.15):
                outcome = await self._breaker.call(self._service.get)
        except TimeoutError:
            outcome = "given up"
        except (Rejected, ServiceError) as error:
            outcome = error
        self._print(number, outcome)

    def _print(self, number, outcome):
        print(f"call {number}: {outcome} ({self._breaker.state().name})")


async def main():
    value, unavailable, not_found, hangs = Answer

    print("Three failures in a row open the circuit:")
    first = Client(
        unavailable,
        unavailable,
        value,
        unavailable,
        unavailable,
        unavailable,
        unavailable,
    )
    for number in range(1, 8):
        await first.call(number)

    print("0.5 s later there is one trial, which fails:")
    await asyncio.sleep(REST)

    async def second_call():
        await asyncio.sleep(0.05)
        await first.call(9)

    await asyncio.gather(first.call(8), second_call())
    await first.call(10)

    print("0.5 s later the next trial succeeds:")
    await asyncio.sleep(REST)
    await first.call(11)
    await first.call(12)

    print("What is the caller's fault does not count, and ends the row:")
    second = Client(unavailable, unavailable, not_found, unavailable, unavailable)
    for number in range(1, 6):
        await second.call(number)

    print("It hangs, and the deadline is around the breaker:")
    third = Client(*[hangs] * 7)
    for number in range(1, 4):
        await third.call_wrongly(number)
    print("The deadline is in the call:")
    for number in range(4, 7):
        await third.call(number)

    print("0.5 s later the trial is cancelled, and the next call is one:")
    await asyncio.sleep(REST)
    await third.call_wrongly(7)
    await third.call(8)


asyncio.run(main())
