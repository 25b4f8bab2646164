"""What Python source means, as text: the same on every Python that reads it, and wherever its imports come from.

Left out are comments, docstrings, layout, `pass` and import statements. Of a name that is imported from elsewhere the text says
what it stands for, so `import torch.nn.functional as F` is `from torch.nn import functional as F`; where a user's own name
package comes from makes no difference. `ast.dump` would not do: each Python adds fields, and empty ones are shown by some.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Collection, Iterator
from typing import Any

_DERIVED = ("ctx", "kind", "type_comment")
"""Fields that say again what the place of a node says, or how its text was written."""


def parse(source: str) -> ast.Module:
    """The syntax tree. Raises SyntaxError, also for what this Python has no syntax for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source.removeprefix("\ufeff"))


def meaning(tree: ast.Module, own: Collection[str] = ()) -> str:
    """The meaning of a module; empty where it does nothing. `own` are packages whose modules may move: names imported from them
    say only what they are called there, and so do relative imports."""
    writer = _Writer()
    body = writer.list(tree.body)
    names = sorted({text for local, text in _imported(tree, own) if local in writer.names or local == "*"})
    return "\n".join([*names, *body])


def imports(tree: ast.Module, module: str, *, is_package: bool = False) -> tuple[str, ...]:
    """The modules that running `module` may import, by absolute name; of `from a import b` both `a` and `a.b`."""
    package = module if is_package else module.rpartition(".")[0]
    found: dict[str, None] = {}
    for node in _walk(tree, for_types=False):
        if isinstance(node, ast.Import):
            found.update(dict.fromkeys(alias.name for alias in node.names))
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            name = ".".join([*above, *([node.module] if node.module else [])])
            found.update(dict.fromkeys([name, *(f"{name}.{alias.name}" for alias in node.names)]))
    return tuple(found)


def _imported(tree: ast.Module, own: Collection[str]) -> Iterator[tuple[str, str]]:
    """(name here, what it stands for) of each imported name; of the user's package only names that are given another here."""
    for node in _walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                local, stands_for = (alias.asname, alias.name) if alias.asname else (top, top)
                if top not in own:
                    yield local, f"{local} = {stands_for}"
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            inside = node.level or (node.module or "").partition(".")[0] in own
            for alias in node.names:
                local = alias.asname or alias.name
                if not inside:
                    yield local, f"{local} = {node.module}.{alias.name}"
                elif local != alias.name:
                    yield local, f"{local} = .{alias.name}"


def _walk(tree: ast.AST, *, for_types: bool = True) -> Iterator[ast.AST]:
    """All nodes but expressions, which are most and import nothing, in the source's order; without `for_types` also without
    what is there for type checkers only."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        left_out = node.body if not for_types and isinstance(node, ast.If) and _for_types(node) else ()
        inside = [one for one in ast.iter_child_nodes(node) if not isinstance(one, ast.expr) and one not in left_out]
        waiting += reversed(inside)


def _for_types(node: ast.If) -> bool:
    return getattr(node.test, "id", getattr(node.test, "attr", "")) == "TYPE_CHECKING"


class _Writer:
    """Writes nodes as `(Type field=value ...)` and notes the names that they use.

    A field that is None or empty is left out, as if it did not exist: for an older Python it does not.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()

    def list(self, items: list[Any]) -> list[str]:
        return [self.value(item) for item in items if not self._is_nothing(item)]

    def value(self, value: object) -> str:
        if isinstance(value, ast.Constant):
            return f"({type(value.value).__name__} {value.value!a})"
        if isinstance(value, ast.JoinedStr):
            return f"(JoinedStr {' '.join(self._pieces(value))})"
        if isinstance(value, ast.AST):
            return self._node(value)
        return f"[{' '.join(self.list(value))}]" if isinstance(value, list) else ascii(value)

    def _node(self, node: ast.AST) -> str:
        if isinstance(node, ast.Name):
            self.names.add(node.id)
        written = [type(node).__name__]
        for name, value in ast.iter_fields(node):
            empty = value is None or value == [] or (isinstance(value, ast.JoinedStr) and not value.values)
            if empty or name in _DERIVED:
                continue
            text = self.value(value)
            if text != "[]":
                written.append(f"{name}={text}")
        return f"({' '.join(written)})"

    def _pieces(self, node: ast.JoinedStr) -> Iterator[str]:
        """The parts of an f-string; constants side by side, which Pythons cut differently, are one."""
        constant = ""
        for piece in node.values:
            if isinstance(piece, ast.Constant):
                constant += str(piece.value)
                continue
            if constant:
                yield ascii(constant)
            constant = ""
            yield self.value(piece)
        if constant:
            yield ascii(constant)

    def _is_nothing(self, node: object) -> bool:
        if isinstance(node, ast.Expr):
            return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        if isinstance(node, ast.If) and _for_types(node):
            return not node.orelse
        return isinstance(node, ast.Import | ast.ImportFrom | ast.Pass)
