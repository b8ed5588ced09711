import asyncio


class Refused(Exception):
    pass


class Room:
    def __init__(self, queue, pace):
        self.queue = queue
        self.pace = pace
        self.members = {}

    def join(self, name):
        if not (name.isalnum() and len(name) <= 20):
            raise Refused("not a name")
        if name in self.members:
            raise Refused("the name is taken")
        self.members[name] = seat = Seat(self, name)
        self.tell(f"{name} joined")
        return seat

    def tell(self, text):
        """Puts the text into all queues without waiting."""
        for seat in self.members.values():
            try:
                if not seat.too_slow:
                    seat.messages.put_nowait(text)
            except asyncio.QueueFull:
                seat.too_slow = True


class Seat:
    def __init__(self, room, name):
        self.room = room
        self.name = name
        self.messages = asyncio.Queue(room.queue)
        self.too_slow = False

    async def say(self, text):
        # A line break could pass for another member's message.
        self.room.tell(f"{self.name}: {' '.join(text.splitlines())}")
        # The queues must not be full before one member had time to read.
        await asyncio.sleep(self.room.pace)

    def leave(self, farewell):
        del self.room.members[self.name]
        self.room.tell(f"{self.name} {farewell}")


def print_waiting(seat):
    while not seat.messages.empty():
        print(f"{seat.name} reads: {seat.messages.get_nowait()}")


async def main():
    room = Room(3, 0.1)
    print("Two join; a name in use and an invalid name are refused:")
    ann = room.join("Ann")
    bob = room.join("Bob")
    for name in ["Ann", "Ann: I"]:
        try:
            room.join(name)
        except Refused as refused:
            print(f"{name}: {refused}")
    print_waiting(ann)
    print_waiting(bob)

    print("Bob does not read, and three messages may wait for him:")
    for text in ["one", "two", "three", "four"]:
        await ann.say(text)
        print_waiting(ann)
    print(f"Bob is too slow: {str(bob.too_slow).lower()}")
    bob.leave("was too slow")
    print_waiting(ann)

    print("The room is closed, and what waits is still read:")
    await ann.say("the last")
    room.members.clear()
    print_waiting(ann)


asyncio.run(main())
