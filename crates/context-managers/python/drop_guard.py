import asyncio


class Taken(Exception):
    pass


class PaymentError(Exception):
    pass


class Reservation:
    """A seat that is free again at the end, unless it was bought."""

    def __init__(self, seats, seat):
        self._seats = seats
        self._seat = seat
        self._is_bought = False

    def __enter__(self):
        if self._seat not in self._seats:
            raise Taken(f"{self._seat} is taken")
        self._seats.remove(self._seat)
        return self

    def buy(self):
        self._is_bought = True

    def __exit__(self, *exception):
        if not self._is_bought:
            self._seats.add(self._seat)
            print(f"{self._seat} is free again")


async def book(seats, card):
    with Reservation(seats, "A1") as first, Reservation(seats, "A2") as second:
        await asyncio.sleep(0.3)
        match card:
            case "torn":
                raise AssertionError("the card is torn")
            case "expired":
                raise PaymentError("the card has expired")
        first.buy()
        second.buy()
        print("both are bought")


async def main():
    seats = {"A1", "A2", "B1"}

    print("The payment fails:")
    try:
        await book(seats, "expired")
    except PaymentError as error:
        print(error)

    print("A bug:")
    try:
        await book(seats, "torn")
    except AssertionError:
        print("the booking has a bug")

    print("A task that is cancelled after 0.1 s:")
    task = asyncio.create_task(book(seats, "valid"))
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.wait([task])
    if task.cancelled():
        print("the booking was cancelled")

    print("Success:")
    await book(seats, "valid")

    print("A reservation without a name, and one that is never dropped:")
    # The name makes no difference here; what counts is what stands in the block.
    with Reservation(seats, "B1"):
        pass
    Reservation(seats, "B1").__enter__()
    print(f"free seats: {len(seats)}")


asyncio.run(main())
