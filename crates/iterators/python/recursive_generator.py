import asyncio
from dataclasses import dataclass, field


@dataclass
class Comment:
    text: str
    replies: list["Comment"] = field(default_factory=list)


async def load(comment, level):
    await asyncio.sleep(0.1)
    return "> " * level + comment.text


async def walk(comment, level=0):
    yield await load(comment, level)
    for reply in comment.replies:
        async for line in walk(reply, level + 1):
            yield line


async def walk_with_stack(comment):
    stack = [(comment, 0)]
    while stack:
        comment, level = stack.pop()
        yield await load(comment, level)
        stack.extend((reply, level + 1) for reply in reversed(comment.replies))


def discussion():
    answer = Comment("Because it is lazy.", [Comment("Thanks!")])
    other = Comment("Read the book.")
    return Comment("Why does nothing happen?", [answer, other])


async def main():
    print("A generator that calls itself:")
    async for line in walk(discussion()):
        print(line)

    print("One with a stack:")
    async for line in walk_with_stack(discussion()):
        print(line)


asyncio.run(main())
