import asyncio

CAPACITY = 2
END = object()


class Lagged(Exception):
    def __init__(self, missed):
        self.missed = missed


class Receiver:
    def __init__(self):
        self.queue = asyncio.Queue()
        self.missed = 0

    def offer(self, message):
        if self.queue.qsize() == CAPACITY:
            self.queue.get_nowait()
            self.missed += 1
        self.queue.put_nowait(message)

    def close(self):
        self.queue.put_nowait(END)

    async def get(self):
        if self.missed:
            missed, self.missed = self.missed, 0
            raise Lagged(missed)
        return await self.queue.get()


class Broadcast:
    def __init__(self):
        self.receivers = []

    def subscribe(self):
        receiver = Receiver()
        self.receivers.append(receiver)
        return receiver

    def send(self, message):
        for receiver in self.receivers:
            receiver.offer(message)
        return len(self.receivers)

    def close(self):
        for receiver in self.receivers:
            receiver.close()


async def listen(name, delay, news):
    while True:
        await asyncio.sleep(delay)
        try:
            message = await news.get()
        except Lagged as lagged:
            print(f"{name}: missed {lagged.missed}")
            continue
        if message is END:
            print(f"{name}: the end")
            return
        print(f"{name}: {message}")


def send(news, number):
    print(f"sending {number}")
    if not news.send(number):
        print(f"{number} is lost")


async def main():
    news = Broadcast()

    print("Nobody listens:")
    send(news, 0)

    print("A fast, a slow and a late one:")
    async with asyncio.TaskGroup() as listeners:
        listeners.create_task(listen("fast", 0.02, news.subscribe()))
        listeners.create_task(listen("slow", 0.36, news.subscribe()))
        for number in range(1, 6):
            await asyncio.sleep(0.1)
            send(news, number)
            if number == 3:
                listeners.create_task(listen("late", 0.04, news.subscribe()))
        news.close()


asyncio.run(main())
