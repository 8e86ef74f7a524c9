"""The Python half of the ETF rotation project: what SQL cannot say plainly."""

import os

# Nodes run side by side already: more threads in one of them only wait for each other. It must be
# said before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
