"""Every fault, its outcome and the check that catches it, in groups that share a build."""

from faults.matrix.bars import OF_BARS
from faults.matrix.files import BAD_ROWS, OF_FILES
from faults.matrix.project import OF_PROJECT

GROUPS = [*OF_FILES, *OF_BARS, *OF_PROJECT]

__all__ = ["BAD_ROWS", "GROUPS"]
