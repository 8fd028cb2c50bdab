"""What an agent does, in ten lines: JSON Lines until its standard input ends."""

import json
import os
import sys
import threading
import time

job = json.loads(sys.stdin.readline())
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(3)), daemon=True).start()
print(json.dumps({"event": "environment", "pid": os.getpid(), "folder": os.getcwd()}), flush=True)
for run in range(job["runs"]):
    print(json.dumps({"event": "samples", "values": [run]}), flush=True)
    time.sleep(job["pause_s"])
print(json.dumps({"event": "done"}), flush=True)
