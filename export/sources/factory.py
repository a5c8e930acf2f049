"""A model from a function of the user: package.module:factory."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm_edge.errors import MissingExtraError, UsageError
from mm_edge.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from mm_edge.export.model import SourceModel
    from mm_edge.export.recipe import Recipe

SHAPE_OF_FACTORY = (
    "A factory takes nothing and returns a torch module with a `.spec` (mm_edge.ModelSpec), or the pair (module, spec)"
)


def from_factory(source: str, recipe: Recipe) -> SourceModel:
    """The model that the function `package.module:name` returns."""
    _need_torch()
    return _from_function(_find(source), source, recipe)


def from_python(source: Any, recipe: Recipe) -> SourceModel:
    """The model behind a Python object: a torch module with a spec, the pair of both, or a function that returns it."""
    _need_torch()
    import torch

    if isinstance(source, (torch.nn.Module, tuple)) or not callable(source):
        return _checked(source, type(source).__name__)
    return _from_function(source, getattr(source, "__qualname__", type(source).__name__), recipe)


def _need_torch() -> None:
    """The factory's own module imports torch, so that its absence must be reported before."""
    try:
        import torch  # noqa: F401
    except ImportError:
        raise MissingExtraError("torch", "export") from None


def _from_function(function: Callable[[], Any], origin: str, recipe: Recipe) -> SourceModel:
    import torch

    torch.manual_seed(recipe.seed)
    try:
        made = function()
    except Exception as error:
        raise UsageError(
            _located(error), action=f"calling {origin}", hint="The error is in the factory; fix it there"
        ) from error
    return _checked(made, origin, f"calling {origin}")


def _checked(made: Any, origin: str, action: str = "exporting a Python object") -> SourceModel:
    import torch

    from mm_edge.export.model import SourceModel

    from .torch_module import from_module

    if isinstance(made, SourceModel):
        return made
    module, spec = made if isinstance(made, tuple) and len(made) == 2 else (made, getattr(made, "spec", None))
    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"got {type(module).__name__}, expected a torch module", action=action, hint=SHAPE_OF_FACTORY)
    if not isinstance(spec, ModelSpec):
        raise UsageError(f"its spec is {type(spec).__name__}, not a ModelSpec", action=action, hint=SHAPE_OF_FACTORY)
    return from_module(module, spec, origin)


def _find(source: str) -> Any:
    module_name, _, path = source.partition(":")
    if (
        here := str(Path.cwd())
    ) not in sys.path:  # as `python -m` does, so that packages in the current folder are found
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise UsageError(
                f"there is no module '{error.name}'",
                action=f"importing {source}",
                hint=f"Searched in {here} and in the installed packages",
            ) from None
        raise UsageError(_located(error), action=f"importing {source}", hint="Install what it imports") from error
    except Exception as error:
        raise UsageError(
            _located(error), action=f"importing {source}", hint="The error is in the module; fix it there"
        ) from error
    for name in path.split("."):
        if not hasattr(found, name):
            raise UsageError(f"'{module_name}' has no '{path}'", action=f"importing {source}", hint=SHAPE_OF_FACTORY)
        found = getattr(found, name)
    if not callable(found):
        raise UsageError(f"'{path}' cannot be called", action=f"importing {source}", hint=SHAPE_OF_FACTORY)
    return found


def _located(error: Exception) -> str:
    """The error with the file and line where it was raised."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({frame.filename}, line {frame.lineno})"
