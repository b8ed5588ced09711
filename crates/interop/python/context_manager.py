import asyncio

try:
    from context_manager_rs import Transaction
except ImportError:

    class Transaction:
        def __init__(self):
            self.list = []

        def execute(self, statement):
            self.list.append(statement)

        def steps(self):
            return self.list

        async def __aenter__(self):
            await asyncio.sleep(0.05)
            return self

        async def __aexit__(self, kind, error, traceback):
            async def end(how):
                await asyncio.sleep(0.05)
                self.list.append(how)

            ending = end("rollback" if kind else "commit")
            await asyncio.shield(asyncio.create_task(ending))
            return False


async def main():
    async with Transaction() as good:
        good.execute("insert 1")
    print(*good.steps(), sep=", ")
    try:
        async with Transaction() as bad:
            bad.execute("insert 2")
            raise ValueError("no")
    except ValueError as error:
        print("ValueError:", error)
    print(*bad.steps(), sep=", ")

    async def impatient(transaction):
        async with transaction:
            transaction.execute("insert 3")
            await asyncio.sleep(60)

    late = Transaction()
    task = asyncio.create_task(impatient(late))
    while not late.steps():
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.sleep(0.01)
    task.cancel()  # while it rolls back
    await asyncio.wait([task])
    while len(late.steps()) < 2:
        await asyncio.sleep(0.01)
    print(*late.steps(), sep=", ")


if __name__ == "__main__":
    asyncio.run(main())
