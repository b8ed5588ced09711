import asyncio


class Taken(Exception):
    pass


class PaymentError(Exception):
    pass


class Seats:
    def __init__(self, names):
        self.free = set(names)

    def reserve(self, seat):
        return Reservation(self, seat)

    def __str__(self):
        return ", ".join(sorted(self.free))


class Reservation:
    """Gives the seat back when it is left, unless it was bought."""

    def __init__(self, seats, seat):
        self._seats = seats
        self._seat = seat
        self._is_bought = False

    def __enter__(self):
        if self._seat not in self._seats.free:
            raise Taken(f"{self._seat} is taken")
        self._seats.free.remove(self._seat)
        return self

    def buy(self):
        self._is_bought = True
        return self._seat

    def __exit__(self, *exception):
        if not self._is_bought:
            self._seats.free.add(self._seat)
            print(f"{self._seat} is free again")


async def pay(card):
    await asyncio.sleep(0.3)
    match card:
        case "torn":
            raise AssertionError("the card is torn")
        case "expired":
            raise PaymentError("the card has expired")


async def book(seats, pair, card):
    first, second = pair
    with seats.reserve(first) as one:
        print(f"{first} is reserved")
        with seats.reserve(second) as two:
            print(f"{second} is reserved")
            await pay(card)
            print(f"{one.buy()} and {two.buy()} are bought")


async def main():
    seats = Seats(["A1", "A2", "B1", "B2", "C1"])

    print("A pair is bought:")
    await book(seats, ["A1", "A2"], "valid")

    print("The payment fails:")
    try:
        await book(seats, ["B1", "B2"], "expired")
    except PaymentError as error:
        print(error)

    print("The second seat is not free:")
    try:
        await book(seats, ["B1", "A2"], "valid")
    except Taken as error:
        print(error)

    print("A bug:")
    try:
        await book(seats, ["B1", "B2"], "torn")
    except AssertionError:
        print("the booking has a bug")

    print("A timeout of 0.2 s:")
    try:
        async with asyncio.timeout(0.2):
            await book(seats, ["B1", "B2"], "valid")
    except TimeoutError:
        print("timed out")

    print("A task that is cancelled after 0.1 s:")
    task = asyncio.create_task(book(seats, ["B1", "B2"], "valid"))
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.wait([task])
    if task.cancelled():
        print("the booking was cancelled")

    print("A reservation without a name:")
    # The name makes no difference here; what counts is what stands in the block.
    with seats.reserve("C1"):
        pass
    print(f"free: {seats}")

    print("A reservation that is never dropped:")
    print(f"free: {seats}")
    seats.reserve("C1").__enter__()
    print(f"free: {seats}")


asyncio.run(main())
