"""The Python runtime's entry: `python3.N bootstrap.py`, with the environment and the descriptors of docs/channel.md.

What a cold start waits for is imported here and nothing else: logging, tracebacks and the endpoint for boto3 are loaded
when the user's code, or an error, first needs them (logging alone is 10 ms). Python 3.9 to 3.14, standard library only.
"""

import os
import sys

sys.dont_write_bytecode = True  # /var/task is read-only, and where it is not it is the user's
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # not left to Python: PYTHONSAFEPATH takes it away
from hearth_runtime import main  # noqa: E402

if __name__ == "__main__":
    main.run()
