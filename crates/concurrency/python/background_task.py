import asyncio


async def long_running_process():
    await asyncio.sleep(0.3)
    print("the background task is done")
    return "background_result"


async def quick_operation():
    await asyncio.sleep(0.1)
    return "quick_result"


async def send_mail(to):
    await asyncio.sleep(0.1)
    assert to, "no address given"
    if to == "nobody":
        raise LookupError("unknown address")
    await asyncio.sleep(0.1)
    print(f"mail to {to} sent")


async def send_mail_or_report(to):
    try:
        await send_mail(to)
    except LookupError as error:
        print(f"mail to {to} not sent: {error}")


async def main():
    print("Awaited when it is needed:")
    background_task = asyncio.create_task(long_running_process())
    print(await quick_operation())
    print(await background_task)

    print("Errors of tasks that nobody awaits:")
    # The list keeps the tasks alive: the loop refers to them only weakly.
    tasks = [asyncio.create_task(send_mail(to)) for to in ["Ada", "nobody", ""]]
    await asyncio.sleep(0.3)

    print("Tasks that report their errors, awaited at the end:")
    background = set()
    for to in ["Ada", "nobody"]:
        task = asyncio.create_task(send_mail_or_report(to))
        background.add(task)
        task.add_done_callback(background.discard)
    print(f"{len(background)} in the background")
    await asyncio.gather(*background)
    print(f"{len(background)} in the background")


asyncio.run(main())
