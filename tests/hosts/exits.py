"""A host which ends while the guest is called, by a thread left behind and at exit."""

import atexit
import threading

from guest import call, report

call()
found = []


def left_behind():
    # Executors start no thread any more when the main thread has come to its end.
    threading.main_thread().join()
    found.append(call())


atexit.register(lambda: report({"by a thread left behind": found, "at exit": [call()]}))
threading.Thread(target=left_behind).start()
