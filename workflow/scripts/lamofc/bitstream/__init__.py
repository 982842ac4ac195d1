"""The bitstream file: one per operating point, one packet per sample, random access, checked.

The byte layout is specified in docs/bitstream.md; keep the two in step.
"""

from lamofc.bitstream.layout import VERSION
from lamofc.bitstream.reader import BitstreamReader
from lamofc.bitstream.writer import BitstreamWriter

__all__ = ["VERSION", "BitstreamReader", "BitstreamWriter"]
