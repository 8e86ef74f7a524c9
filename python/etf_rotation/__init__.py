"""The Python half of the ETF rotation project: everything that SQL cannot express."""

import os

# dbt already runs nodes in parallel, so BLAS threads would only compete with them.
# numpy reads the variable when it is imported: set it first.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
