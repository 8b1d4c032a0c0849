"""Hosts which call from many Python threads at once, the first time included."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from guest import call, report
from joblib import Parallel, delayed

AT_ONCE = 8


def executor():
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [job.result() for job in [pool.submit(call) for _ in range(2 * AT_ONCE)]]


async def to_thread():
    return await asyncio.gather(*(asyncio.to_thread(call) for _ in range(AT_ONCE)))


async def run_in_executor():
    loop = asyncio.get_running_loop()
    return await asyncio.gather(*(loop.run_in_executor(None, call) for _ in range(AT_ONCE)))


report(
    {
        "executor": executor(),
        "asyncio.to_thread": asyncio.run(to_thread()),
        "run_in_executor": asyncio.run(run_in_executor()),
        "joblib": Parallel(AT_ONCE, backend="threading")(delayed(call)() for _ in range(AT_ONCE)),
    }
)
