"""What source means, as text: equal wherever the meaning is, on every Python."""

from __future__ import annotations

import ast
import hashlib
from textwrap import dedent
from typing import Any

import pytest

from ablate.study.code.syntax import imports, meaning, parse

EVERYTHING = '''
"""A module."""
from __future__ import annotations

import os, sys as system
import torch.nn.functional as F
from math import *
from package.inner import thing as other, plain
from .near import friend as mate

X: int = 1
Y: float
a, (b, *c), d["k"], e.f = 1, (2, 3, 4), 5, 6
n = 0x1F + 1_000 - 0b11 * 0o7 / 2 // 3 % 5 ** 2 @ m << 1 >> 2 & 3 | 4 ^ 5
z = 1.5e-3, 1e400, 2j, "t\\u00e9xt\\n", b"\\x00\\xff", u"u", True, False, None, ...
i += 1; i -= 2; i *= 3; i @= 4; i //= 5; i **= 6; i >>= 7; i |= 8; i ^= 9; i %= 1; i <<= 2; i &= 3; i /= 4
lam = lambda p, /, q=1, *r, s, t=2, **u: (p, q)
cmp = not (1 < x <= 2 != y is not None) or x in z and y not in z and x is y and x > 1 and x >= 2 and x == 3
un = -x, +x, ~x
tern = 1 if x else 2
col = [1, *z], {1, *z}, {1: 2, **z}, (), [], {}
comp = [p for p in q if p if p > 1 for r in p], {p for p in q}, {p: r for p, r in q}, (p for p in q)
sl = x[1:2, ::3, ...], x[:], x[-1]
f1 = f"a{x!r:>{w}.2f}b" "c" f"{y!s}{z!a}{{}}{x:}" f"{x = }" rf"\\d{x:%Y-%m}"
walrus = (k := 3)
call(1, *z, key=2, **z)
del x, y[0], e.f
assert x, "message"


@decorate(1)
class C(Base, metaclass=M):
    """A class."""

    slot: int = 1
    """What it is."""

    @property
    def one(self, /, a: int, b: "str" = 1, *args: int, c, d=2, **kwargs: Any) -> list[int]:
        """Does."""
        global G
        nonlocal_ = 1

        def inner():
            nonlocal nonlocal_
            return

        yield
        yield 1
        got = yield from inner()
        return got

    async def two(self):
        async with a as b, c:
            await d
        async for p in q:
            continue
        else:
            pass
        return [p async for p in q]


for p, *r in q:
    break
else:
    p = 1
while True:
    continue
else:
    pass
if x:
    pass
elif y:
    x = 1
else:
    x = 2
with open(f) as g, h:
    pass
with (open(f) as g, h as (k, l)):
    x = 1
try:
    raise E from F
except (A, B) as error:
    raise
except:
    x = 1
else:
    x = 2
finally:
    x = 3
try:
    x = 1
except* A as group:
    x = 2
match x:
    case 1 | -2 | 1.5 | 1 + 2j | "s" | None | True:
        pass
    case [1, [_, *rest], *_] if rest:
        x = 1
    case {"k": v, 1: 2, **others}:
        x = 2
    case C(1, slot=p) as whole:
        x = 3
    case a.b | (1 | 2 as k):
        x = 4
    case _:
        x = 5
'''
"""Every kind of node that Python 3.11 has, in ways that other Pythons build otherwise."""

GOLDEN = "8ef7b1ee8daccae2b0b196bbcf5e1714542692396f14f129d14984d3559e692d"


def digest(source: str) -> str:
    return hashlib.sha256(meaning(parse(source)).encode()).hexdigest()


def means(source: str) -> str:
    return meaning(parse(dedent(source)), {"ours"})


def test_every_node_is_in_the_sample() -> None:
    """So the golden digest below is one of all of the syntax."""
    seen = {type(node).__name__ for node in ast.walk(ast.parse(EVERYTHING))}
    old = {
        "AugLoad",
        "AugStore",
        "ExtSlice",
        "Index",
        "Param",
        "Suite",
        "Num",
        "Str",
        "Bytes",
        "NameConstant",
        "Ellipsis",
    }
    abstract = {"AST", "mod", "stmt", "expr", "expr_context", "boolop", "operator", "unaryop", "cmpop", "excepthandler",
                "pattern", "type_ignore", "slice", "type_param"}  # fmt: skip
    other_modes = {"Expression", "Interactive", "FunctionType", "TypeIgnore"}
    newer = {"TypeAlias", "TypeVar", "ParamSpec", "TypeVarTuple", "TemplateStr", "Interpolation"}
    named = {name: kind for name, kind in vars(ast).items() if isinstance(kind, type) and not name.startswith("_")}
    kinds = {name for name, kind in named.items() if issubclass(kind, ast.AST)}
    assert kinds - seen - old - abstract - other_modes - newer == set()


def test_the_text_is_the_same_on_every_python() -> None:
    """Made with Python 3.11; a Python that builds its tree otherwise must come to the same."""
    assert digest(EVERYTHING) == GOLDEN


def test_fields_that_newer_pythons_add_are_no_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = parse(EVERYTHING)
    for node in ast.walk(tree):
        for name, empty in (("type_params", []), ("default_value", None)):
            if name not in node._fields and isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
                node._fields = (*node._fields, name)
                setattr(node, name, empty)
    assert meaning(tree) == meaning(parse(EVERYTHING))


def test_an_f_string_cut_otherwise_is_the_same() -> None:
    def cut(tree: ast.Module) -> Any:
        """As Python 3.12.0 built it: constants side by side, and empty format specs."""
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                pieces: list[ast.expr] = []
                for piece in node.values:
                    text = piece.value if isinstance(piece, ast.Constant) else None
                    parts = [text[:1], "", text[1:]] if isinstance(text, str) else []
                    pieces += [ast.Constant(part) for part in parts] or [piece]
                node.values = pieces
            if isinstance(node, ast.FormattedValue) and node.format_spec is None:
                node.format_spec = ast.JoinedStr([])
        return tree

    assert meaning(cut(parse(EVERYTHING))) == meaning(parse(EVERYTHING))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1 + 2", "# a comment\nx = (1\n     + 2)"),
        ("def f(x):\n    return x", 'def f(x):\n    """Gives it back."""\n    return x\n'),
        ("class A:\n    x: int = 1", 'class A:\n    """A."""\n\n    x: int = 1\n    """One."""\n'),
        ("def f(): ''", "def f(): pass"),
        ("x = 1", "from __future__ import annotations\nx = 1"),
        ("import a\nimport b\na.x(b)", "import b\nimport a\na.x(b)"),
        ("import a\na.x()", "import a\nimport unused\nfrom also import unused as too\na.x()"),
        ("import torch.nn.functional as F\nF.relu", "from torch.nn import functional as F\nF.relu"),
        ("import a\n\ndef f():\n    return a.x", "def f():\n    import a\n\n    return a.x"),
        ("from ours.one import f\nf()", "from ours.two.three import f\nf()"),
        ("from ours.one import f\nf()", "from .one import f\nf()"),
        ("from ours import one as x\nx.f()", "from ours.inner import one as x\nx.f()"),
        ("x = 1", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from torch import Tensor\nx = 1"),
        ("x: T", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ours import T\nx: T"),
        ("x = u'a'", 'x = "a"'),
        ("x = 'a' 'b'", "x = 'ab'"),
        ("x = 1_000", "x = 1000"),
    ],
)  # fmt: skip
def test_the_same_meaning(one: str, other: str) -> None:
    assert means(one) == means(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 2"),
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = 1", "x = '1'"),
        ("x = b'a'", "x = 'a'"),
        ("x = 0.1", "x = 0.10000000000000002"),
        ("x = None", "x = ..."),
        ("return_ = f(None)", "return_ = f()"),
        ("f(a, b)", "f(b, a)"),
        ("f(a)(b)", "f(a, b)"),
        ("x = -1", "x = 1"),
        ("x = a < b", "x = a <= b"),
        ("x = a[1:]", "x = a[:1]"),
        ("x = {**a, 1: 2}", "x = {1: 2, **a}"),
        ("def f(a, /): return 1", "def f(a): return 1"),
        ("def f(*, a): return 1", "def f(a): return 1"),
        ("def f(a=1): return 1", "def f(a=2): return 1"),
        ("async def f(): await x", "def f(): x"),
        ("@a\ndef f(): return 1", "def f(): return 1"),
        ("f'{x!r}'", "f'{x}'"),
        ("f'{x:.2f}'", "f'{x:.3f}'"),
        ("f'{x}'", "'x'"),
        ("f'a{x}'", "f'{x}a'"),
        ("match x:\n    case None: y = 1", "match x:\n    case True: y = 1"),
        ("match x:\n    case y: z = 1", "match x:\n    case _: z = 1"),
        ("if x: y = 1\nelse: y = 2", "if x: y = 2\nelse: y = 1"),
        ("if x: y = 1", "y = 1"),
        ("for x in y: f()", "while x: f()"),
        ("import a\na.x()", "import b as a\na.x()"),
        ("from torch.optim import SGD\nSGD()", "from other.optim import SGD\nSGD()"),
        ("from ours.one import f\nf()", "from ours.one import g as f\nf()"),
        ("from ours.one import f\nf()", "from theirs.one import f\nf()"),
        ("if TYPE_CHECKING:\n    x = 1\nelse:\n    x = 2", "if TYPE_CHECKING:\n    x = 1\nelse:\n    x = 3"),
        ("x = 'é'", "x = 'e'"),
        ("raise A", "raise A from None"),
        ("global x", "nonlocal_ = x"),
    ],
)
def test_another_meaning(one: str, other: str) -> None:
    assert means(one) != means(other)


def test_what_does_nothing_means_nothing() -> None:
    assert means('"""Only a docstring."""\n\nfrom __future__ import annotations\nimport os\n') == ""


def test_the_modules_that_running_a_module_imports() -> None:
    tree = parse(
        dedent("""
        import a.b, c as d
        from e.f import g
        from . import near
        from ..up import one
        from .inner import two as three
        if TYPE_CHECKING:
            from types_only import T
        else:
            import real
        def f():
            from late import h
        """)
    )
    found = imports(tree, "top.sub.module")
    assert set(found) >= {"a.b", "c", "e.f", "e.f.g", "top.sub.near", "top.up", "top.up.one", "top.sub.inner", "real", "late"}  # fmt: skip
    assert not any("types_only" in name for name in found)
    assert "top.sub.module.near" in imports(tree, "top.sub.module", is_package=True)
