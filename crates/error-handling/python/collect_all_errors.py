import asyncio
from dataclasses import dataclass

ADULT = 18


class Invalid(Exception):
    pass


def all_or_raise(results):
    """All values, or all errors in one."""
    errors = [result for result in results if isinstance(result, Invalid)]
    if errors:
        raise ExceptionGroup("invalid", errors)
    # What is none of them is a bug.
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


@dataclass
class Form:
    name: str
    address: str
    age: str


@dataclass
class User:
    name: str
    address: str
    age: int


async def check_name(name):
    await asyncio.sleep(0.2)
    if name in ("Ann", "Joe"):
        raise Invalid(f"the name {name} is taken")
    return name


async def check_address(address):
    await asyncio.sleep(0.1)
    if "@" not in address:
        raise Invalid(f"{address} is not an address")
    return address


async def check_age(age):
    if not age.isdecimal():
        raise Invalid(f"{age} is not a number")
    if int(age) < ADULT:
        raise Invalid(f"{age} is below {ADULT}")
    return int(age)


async def check_until_error(form):
    return User(
        name=await check_name(form.name),
        address=await check_address(form.address),
        age=await check_age(form.age),
    )


async def check(form):
    results = await asyncio.gather(
        check_name(form.name),
        check_address(form.address),
        check_age(form.age),
        return_exceptions=True,
    )
    return User(*all_or_raise(results))


async def check_names(names):
    results = await asyncio.gather(*map(check_name, names), return_exceptions=True)
    return all_or_raise(results)


async def report(checking):
    try:
        user = await checking
        print(f"{user.name}, {user.address}, {user.age}")
    except* Invalid as errors:
        print_errors(errors)


def print_errors(errors):
    for error in errors.exceptions:
        print(f"- {error}")


async def main():
    name, address, age = "Ann", "at home", "old"

    print("One mistake at a time:")
    for name in ["Ann", "Anna"]:
        await report(check_until_error(Form(name, address, age)))
    name = "Ann"

    print("All mistakes at once:")
    await report(check(Form(name, address, age)))

    print("Corrected, the age twice:")
    for age in ["17", "18"]:
        await report(check(Form("Anna", "anna@home", age)))

    print("A list of names, and the first mistake in it:")
    names = ["Bob", "Joe", "Eve", "Ann"]
    results = await asyncio.gather(*map(check_name, names), return_exceptions=True)
    try:
        for result in results:
            if isinstance(result, Exception):
                raise result
        print(f"all free: {', '.join(results)}")
    except Invalid as error:
        print(f"- {error}")

    print("All mistakes in it:")
    try:
        print(f"all free: {', '.join(await check_names(names))}")
    except* Invalid as errors:
        print_errors(errors)

    print("Without them:")
    try:
        print(f"all free: {', '.join(await check_names(['Bob', 'Eve']))}")
    except* Invalid as errors:
        print_errors(errors)


asyncio.run(main())
