import asyncio
import time


def download_file(filename):
    print(f"Starting download: {filename}")
    time.sleep(0.2)
    print(f"Completed download: {filename}")
    return f"Data from {filename}"


async def download_file_async(filename):
    print(f"Starting download: {filename}")
    await asyncio.sleep(0.2)
    print(f"Completed download: {filename}")
    return f"Data from {filename}"


async def main():
    files = ["file1.txt", "file2.txt", "file3.txt"]
    print("Blocking:")
    results = [download_file(file) for file in files]
    print(", ".join(results))

    print("Async:")
    results = await asyncio.gather(*(download_file_async(file) for file in files))
    print(", ".join(results))


asyncio.run(main())
