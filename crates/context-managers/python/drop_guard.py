import asyncio
from dataclasses import dataclass


class NoSeat(Exception):
    pass


class PaymentError(Exception):
    pass


@dataclass
class Seats:
    free: int


@dataclass
class Reservation:
    """A seat that is free again at the end, unless it was bought."""

    seats: Seats
    guest: str
    is_bought: bool = False

    def __enter__(self):
        if self.seats.free == 0:
            raise NoSeat("no seat is free")
        self.seats.free -= 1
        return self

    def __exit__(self, *exception):
        if not self.is_bought:
            self.seats.free += 1
            print(f"the seat of {self.guest} is free again")


async def book(seats, card):
    with Reservation(seats, "Ann") as ann, Reservation(seats, "Bob") as bob:
        await asyncio.sleep(0.3)
        match card:
            case "torn":
                raise AssertionError("the card is torn")
            case "expired":
                raise PaymentError("the card has expired")
        ann.is_bought = bob.is_bought = True
        print("both are bought")


async def main():
    seats = Seats(3)

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
    with Reservation(seats, "Cid"):
        pass
    Reservation(seats, "Cid").__enter__()
    print(f"free seats: {seats.free}")


asyncio.run(main())
