"""One look for all figures: `looks` of codecs, `layout` in inches, `scales` of axes, `files` equal byte for byte."""
