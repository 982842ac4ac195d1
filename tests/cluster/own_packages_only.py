"""sitecustomize of the stand-in's environments: a module that is missing from the environment is missing.

Snakemake appends the folders of its own interpreter to the path of every script, for its own modules. A package that
an env file forgets would be found there. Here only modules that lie there themselves may import from there.
"""

import sys
from importlib.machinery import PathFinder
from pathlib import Path

OWN = sys.prefix
PROJECT = ("lamofc", "figures", "tables")


def _importer() -> str:
    """File of the nearest frame that is not the import system's."""
    frame = sys._getframe(2)
    while frame and ("importlib" in frame.f_code.co_filename or frame.f_code.co_filename == __file__):
        frame = frame.f_back
    return frame.f_code.co_filename if frame else ""


class OwnPackagesOnly:
    """Python's own search along sys.path, blind to what only the other interpreter has."""

    invalidate_caches = PathFinder.invalidate_caches
    find_distributions = PathFinder.find_distributions

    @staticmethod
    def find_spec(name, path=None, target=None):
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or path is not None or name in ("snakemake", *PROJECT):
            return spec
        place = spec.origin or next(iter(spec.submodule_search_locations or ()), "")
        elsewhere = "site-packages" in place and not place.startswith(OWN)
        return None if elsewhere and not _from_elsewhere(_importer()) else spec


def _from_elsewhere(file: str) -> bool:
    return "site-packages" in file and not Path(file).is_relative_to(OWN)


sys.meta_path[:] = [OwnPackagesOnly if finder is PathFinder else finder for finder in sys.meta_path]
