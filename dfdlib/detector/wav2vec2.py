"""fairseq's wav2vec 2.0 without the rest of fairseq.

A plain `import fairseq` loads every model, task and data set: 2.9 s of processor time beyond torch, where `load` takes
0.3 s. `load` imports only the network's files, from the installed package and unchanged. Packages stand in
``sys.modules`` whose ``__init__`` has not run. They run it once anything else is asked of them, so ``import fairseq``
works as ever, before and after, with the same classes.
"""

import ast
import contextlib
import importlib.util
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

from dfdlib.errors import RunError

NETWORK = "fairseq.models.wav2vec.wav2vec2"

#: The packages whose ``__init__`` imports what the network does not need, parents first.
PACKAGES = ("fairseq", "fairseq.data", "fairseq.modules", "fairseq.models", "fairseq.models.wav2vec")

_LOCK = threading.Lock()


def load() -> ModuleType:
    """Return the module of fairseq's network, and leave logging and warnings as they were.

    It is a plain import where fairseq has been imported already, and where it is not built as expected here.
    """
    with _LOCK:
        if NETWORK in sys.modules:
            return sys.modules[NETWORK]
        with quiet():
            if "fairseq" not in sys.modules:
                try:
                    return _load_alone()
                except Exception:  # another release, another layout: whatever is wrong, the plain way may be right
                    for name in [name for name in sys.modules if name.partition(".")[0] == "fairseq"]:
                        del sys.modules[name]
            try:
                return importlib.import_module(NETWORK)
            except ImportError as error:
                raise RunError(
                    f"fairseq cannot be imported ({error}); install this project's locked requirements "
                    "(./run_all.sh does)"
                ) from error


def _load_alone() -> ModuleType:
    packages = [_Package.find(name) for name in PACKAGES]
    importlib.import_module("fairseq.utils")  # first, as in fairseq's own order: modules below import each other
    # This package defines what registers a model, and ends with a call that imports every model there is.
    sys.modules["fairseq.models"].run(until="import_models")
    network = importlib.import_module(NETWORK)
    network.utils.get_activation_fn("gelu")  # imports it, which would otherwise be when a network is built
    for package in packages:
        package.close()
    return network


class _Package(ModuleType):
    """A package whose ``__init__`` has not run, or not to its end.

    While open, it imports a name from where its ``__init__`` would. Closed, it runs the rest of its ``__init__`` once
    it is asked for a name that it does not have, or for a module inside it.
    """

    @classmethod
    def find(cls, name: str) -> "_Package":
        """Return the package, open, having put it where importing would."""
        parent, _, leaf = name.rpartition(".")
        spec = PathFinder.find_spec(name, sys.modules[parent].__path__ if parent else None)
        if spec is None or not spec.has_location or spec.submodule_search_locations is None:
            raise ModuleNotFoundError(f"there is no package {name}", name=name)
        package = importlib.util.module_from_spec(spec)
        package.__class__ = cls
        package._is_open = True
        package._statements = ast.parse(Path(spec.origin).read_bytes()).body
        sys.modules[name] = package
        if parent:
            setattr(sys.modules[parent], leaf, package)
        return package

    def __getattr__(self, name: str) -> object:
        # Programs that look through all modules ask for other names with underscores; that must not import anything.
        if name.startswith("__") and name not in {"__path__", "__all__", "__version__"}:
            raise AttributeError(name)
        if not self._is_open:
            self.complete()
            return getattr(self, name)
        imports = [one for one in self._statements if isinstance(one, ast.ImportFrom) and one.level == 1]
        for one in imports:
            if name in {alias.name for alias in one.names}:
                setattr(self, name, getattr(importlib.import_module(f".{one.module}", self.__name__), name))
                return getattr(self, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def run(self, *, until: str = "") -> None:
        """Run the ``__init__`` from where it stopped, up to a call of the function `until` or to its end."""
        calls = [isinstance(one, ast.Expr) and ast.unparse(one).startswith(f"{until}(") for one in self._statements]
        end = calls.index(True) if True in calls else len(calls)
        now, self._statements = self._statements[:end], self._statements[end:]
        exec(compile(ast.Module(now, []), self.__spec__.origin, "exec"), vars(self))

    def close(self) -> None:
        """Let the next unknown name run the ``__init__``."""
        self._is_open = False
        # An import of something inside asks for this first. The network itself does so in one package.
        if self.__name__ != "fairseq.modules":
            del self.__path__

    def complete(self) -> None:
        """Become the package that a plain import makes, after all of fairseq has."""
        root = sys.modules[PACKAGES[0]]
        if self is not root and isinstance(root, _Package):
            root.complete()
        if isinstance(self, _Package):
            self.__path__ = self.__spec__.submodule_search_locations
            self.__class__ = ModuleType
            _Package.run(self)
            del self._is_open, self._statements
        if self is root:
            for name in PACKAGES[1:]:
                if isinstance(sys.modules[name], _Package):
                    sys.modules[name].complete()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what is logged and warned of from the terminal, and leave logging and warnings as they were.

    On its way fairseq sets the root logger to DEBUG, gives it a handler, logs what optional packages are missing, and
    lets warnings through from the packages it imports.
    """
    root, level, handlers = logging.root, logging.root.level, logging.root.handlers[:]
    disabled = root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        root.handlers[:] = handlers
        root.setLevel(level)
