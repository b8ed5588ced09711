import asyncio
import threading


async def look_up(number):
    await asyncio.sleep(0.2)
    assert number > 0, "ids begin with 1"
    match number:
        case 1:
            return "Ada"
        case _:
            raise LookupError(f"nobody has the id {number}")


def look_up_from_thread(loop, number):
    return asyncio.run_coroutine_threadsafe(look_up(number), loop).result()


def look_up_three(loop):
    print(f"Found {look_up_from_thread(loop, 1)}")
    for number in [2, 0]:
        try:
            print(f"Found {look_up_from_thread(loop, number)}")
        except AssertionError:
            print("Bug in the task")
        except LookupError as error:
            print(f"Error: {error}")


def send_readings(loop, readings):
    for reading in [81, 14, 3, 94]:
        asyncio.run_coroutine_threadsafe(readings.put(reading), loop).result()
        print(f"Sent {reading}")
    asyncio.run_coroutine_threadsafe(readings.put(None), loop).result()


async def main():
    print("A thread that starts tasks and waits for their results:")
    loop = asyncio.get_running_loop()
    thread = threading.Thread(target=look_up_three, args=(loop,))
    thread.start()
    await asyncio.to_thread(thread.join)

    print("A thread that sends to a slow reader:")
    readings = asyncio.Queue(1)
    thread = threading.Thread(target=send_readings, args=(loop, readings))
    thread.start()
    while (reading := await readings.get()) is not None:
        await asyncio.sleep(0.2)
        print(f"Stored {reading}")
    await asyncio.to_thread(thread.join)


asyncio.run(main())
