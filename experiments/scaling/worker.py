"""A process of a job: joins the others, does its part, and tells the parent.

`experiments.scaling.processes` starts it and describes what it reads and writes.
"""

import json
import os
import sys
import threading
from typing import Any


def main() -> None:
    if len(sys.argv) != 4:
        sys.exit("experiments.scaling.worker: expected a number, a count and an address")
    index, count, address = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    output = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # Libraries print, and that is no message.
    job = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=end_with_parent, daemon=True).start()
    pin(index)

    def tell(**message: Any) -> None:
        print(json.dumps(message), file=output)

    tell(state="started")
    join(index, count, address)
    tell(state="joined")

    import numpy as np

    from experiments.scaling import job as jobs

    result, values = jobs.run(job, count, lambda: tell(advance=1))
    if index == 0:  # All processes have the same.
        np.savez(job["values"], **values)
    tell(result=result)
    leave()


def end_with_parent() -> None:
    """Ends this process when stdin closes, as it does when the parent ends in any way."""
    os.read(0, 1)
    os._exit(1)


def pin(index: int) -> None:
    """Lets this process run on one processor, and so with one thread of XLA."""
    if hasattr(os, "sched_setaffinity"):
        processors = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {processors[index % len(processors)]})


def join(index: int, count: int, address: str) -> None:
    """Joins the processes, so that their devices make one mesh."""
    import jax

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_num_cpu_devices", 1)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(
        address,
        count,
        index,
        coordinator_bind_address=address,
        cluster_detection_method="deactivate",
    )


def leave() -> None:
    import jax

    jax.distributed.shutdown()


if __name__ == "__main__":
    main()
