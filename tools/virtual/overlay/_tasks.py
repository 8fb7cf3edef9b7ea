# Task and TaskQueue for the frozen asyncio.
#
# The unix port's own are written in C and read the host's clock with a period of 2**62. These two
# have the same behaviour but use the emulated clock, so that virtual time and the wrap of ESP32's
# ticks at 2**30 are true for asyncio as well.
import time


def _core():
    from asyncio import core

    return core


class TaskQueue:
    # An ordered list: a bin has a few dozen tasks, and equal times stay first in, first out.
    def __init__(self):
        self._q = []

    def peek(self):
        return self._q[0] if self._q else None

    def push(self, task, key=None):
        task.data = None
        if key is None:
            key = time.ticks_ms()
        task.ph_key = key
        q = self._q
        i = len(q)
        while i and time.ticks_diff(q[i - 1].ph_key, key) > 0:
            i -= 1
        q.insert(i, task)

    def pop(self):
        return self._q.pop(0)

    def remove(self, task):
        self._q.remove(task)


class Task:
    def __init__(self, coro, globals=None):
        self.coro = coro
        self.data = None  # the queue it waits on, or the exception to throw into it
        self.state = True  # True: runs, nobody waits; TaskQueue: waiters; None, False: finished
        self.ph_key = 0

    def __iter__(self):
        if not self.state:
            self.state = False
        elif self.state is True:
            self.state = TaskQueue()
        elif not isinstance(self.state, TaskQueue):
            raise RuntimeError("can't wait")
        return self

    def __next__(self):
        if not self.state:
            if self.data is None:
                raise StopIteration
            raise self.data
        core = _core()
        self.state.push(core.cur_task)
        core.cur_task.data = self

    def done(self):
        return not self.state

    def remove(self, task):
        # Another task waits for this one and is cancelled.
        self.state.remove(task)

    def cancel(self):
        if not self.state:
            return False
        core = _core()
        if self is core.cur_task:
            raise RuntimeError("can't cancel self")
        task = self
        while isinstance(task.data, Task):
            task = task.data
        if hasattr(task.data, "remove"):
            task.data.remove(task)
            core._task_queue.push(task)
        elif time.ticks_diff(task.ph_key, time.ticks_ms()) > 0:
            core._task_queue.remove(task)
            core._task_queue.push(task)
        task.data = core.CancelledError
        return True
