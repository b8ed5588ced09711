import asyncio


class CommandError(Exception):
    pass


class Commands:
    """The handlers by command, and their state."""

    def __init__(self):
        self._items = []
        self._handlers = {}

    def on(self, command, handler):
        self._handlers[command] = handler

    async def run(self, line):
        command, _, text = line.partition(" ")
        if command not in self._handlers:
            raise CommandError(f"no command {command}")
        return await self._handlers[command](self._items, text)


async def add(items, item):
    await asyncio.sleep(0.1)
    items.append(item)
    return f"{len(items)} on the list"


async def show(items, _):
    return ", ".join(items)


async def clear(items, _):
    items.clear()
    return "cleared"


class Buy:
    """A handler with its own data, and the state that all share."""

    def __init__(self, money):
        self.money = money

    async def __call__(self, items, _):
        if len(items) > self.money:
            raise CommandError(f"there is money for {self.money}")
        bought = len(items)
        items.clear()
        return f"bought {bought}"


async def main():
    commands = Commands()
    commands.on("add", add)
    commands.on("show", show)
    commands.on("buy", Buy(money=1))
    commands.on("clear", clear)

    print("Two commands at the same time:")
    for answer in await asyncio.gather(commands.run("add milk"), commands.run("add tea")):
        print(answer)

    print("One after another:")
    for line in ["show", "buy", "sell", "clear", "add jam", "buy"]:
        try:
            print(await commands.run(line))
        except CommandError as error:
            print(f"Error: {error}")


asyncio.run(main())
