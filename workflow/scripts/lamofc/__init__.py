"""Large model feature coding: split execution, codecs, true rates, evaluation."""

__version__ = "0.1.0"
