import asyncio
import threading
import time

DOWNLOAD = 0.35


def download_file(filename):
    print(f"Starting download: {filename}")
    time.sleep(DOWNLOAD)
    print(f"Completed download: {filename}")
    return f"Data from {filename}"


async def download_file_async(filename):
    print(f"Starting download: {filename}")
    await asyncio.sleep(DOWNLOAD)
    print(f"Completed download: {filename}")
    return f"Data from {filename}"


async def heartbeat():
    for beat in range(1, 4):
        print(f"Heartbeat {beat}")
        await asyncio.sleep(0.1)


async def wake_up_and_block():
    await asyncio.sleep(0.15)
    download_file("file1.txt")


async def main():
    print("A heartbeat beside a blocking call:")

    async def on_the_loop():
        return download_file("file1.txt")

    await asyncio.gather(heartbeat(), on_the_loop())

    print("A heartbeat beside an async call:")
    await asyncio.gather(heartbeat(), download_file_async("file1.txt"))

    print("A heartbeat beside a blocking call on another thread:")
    download = asyncio.to_thread(download_file, "file1.txt")
    _, result = await asyncio.gather(heartbeat(), download)
    print(result)

    print("A heartbeat and a blocking call, in two tasks of several threads:")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(heartbeat())
        tasks.create_task(wake_up_and_block())

    print("The same, and another thread sends a message meanwhile:")
    loop = asyncio.get_running_loop()
    message = loop.create_future()

    async def receive():
        await message
        print("Received the message")

    def send():
        time.sleep(0.3)
        loop.call_soon_threadsafe(message.set_result, None)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(heartbeat())
        tasks.create_task(receive())
        threading.Thread(target=send).start()
        tasks.create_task(wake_up_and_block())


asyncio.run(main())
