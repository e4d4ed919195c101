"""MMPose configurations, read without running them.

MMEngine's `Config.fromfile` executes the Python file it is given, so a configuration from elsewhere would be somebody's
code. This reads the part of Python that MMPose's configurations are written in, and computes it: assignments of
literals, `dict(...)`, lists, tuples, sums and products, subscripts, f-strings and comprehensions over what was assigned
before. Anything else (an import, another call, an attribute) is an error that names its line. `_base_` files are merged
as MMEngine merges them.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from annotext.core.errors import InputError

_CALLS: dict[str, Callable[..., Any]] = {
    "dict": dict,
    "list": list,
    "tuple": tuple,
    "range": range,
    "len": len,
    "int": int,
    "float": float,
}
_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}

# A file may not compute itself into all of memory ("x" * 1000000000, range(1000000000)), or numbers without end.
_LARGEST = 100_000
_LONGEST_NUMBER = 64  # bits


class _Unreadable(Exception):
    def __init__(self, node: ast.AST, problem: str) -> None:
        super().__init__(problem)
        self.line, self.problem = getattr(node, "lineno", 0), problem


def shipped_configs() -> Path:
    """The folder that holds `configs/` of the installed MMPose."""
    import mmpose

    return Path(mmpose.__path__[0]) / ".mim"


def read_config(path: Path) -> dict[str, Any]:
    """The configuration at `path` with its bases merged in. Raises InputError for what is missing or not read."""
    return _read(path, ())


def _read(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError.single(path, "", f"cannot be read: {error.strerror}") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError.single(path, "", f"is no Python configuration: {error or 'too deeply nested'}") from None
    try:
        own = _statements(tree)
    except _Unreadable as error:
        raise InputError.single(
            path,
            f"line {error.line}",
            f"{error.problem} is not read in a configuration",
            "configurations are never executed; the config.py that MMPose leaves beside a training log is plain enough",
        ) from None
    bases = own.pop("_base_", [])
    merged: dict[str, Any] = {}
    for base in [bases] if isinstance(bases, str) else bases:
        found = _base_file(base, path)
        if found in above or len(above) > 10:
            raise InputError.single(path, "_base_", f"{base} is its own base")
        merged.update(_read(found, (*above, path.resolve())))
    return _merged(merged, own)


def _base_file(base: str, path: Path) -> Path:
    """Beside the file, or among MMPose's own: people copy one configuration, seldom what it is based on."""
    beside = (path.parent / base).resolve()
    if beside.is_file():
        return beside
    inside = base.removeprefix("mmpose::")
    shipped = shipped_configs() / "configs" / Path(*[p for p in Path(inside).parts if p != ".."])
    if shipped.is_file():
        return shipped
    raise InputError.single(path, "_base_", f"{base} does not exist, beside it or among MMPose's own")


def _merged(base: Any, own: Any) -> Any:
    """`own` over `base`, as MMEngine's Config merges them: tables by key, anything else replaced."""
    if not (isinstance(base, dict) and isinstance(own, dict)) or own.get("_delete_"):
        return {k: v for k, v in own.items() if k != "_delete_"} if isinstance(own, dict) else own
    result = dict(base)
    for key, value in own.items():
        result[key] = _merged(base.get(key), value)
    return result


def _statements(tree: ast.Module) -> dict[str, Any]:
    names: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if not isinstance(node, ast.Assign) or not all(isinstance(t, ast.Name) for t in node.targets):
            raise _Unreadable(node, _what(node))
        value = _value(node.value, names)
        for target in node.targets:
            assert isinstance(target, ast.Name)
            names[target.id] = value
    return names


def _what(node: ast.AST) -> str:
    text = ast.unparse(node).splitlines()[0]
    return f"`{text[:60]}`"


def _value(node: ast.AST, names: Mapping[str, Any]) -> Any:
    try:
        value = _computed(node, names)
    except _Unreadable:
        raise
    except Exception as error:  # the file's own arithmetic: a wrong type, a missing key, a division by zero
        raise _Unreadable(node, f"{_what(node)} ({type(error).__name__}: {error})") from None
    large = isinstance(value, str | list | tuple | range) and len(value) > _LARGEST
    if large or (isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER):
        raise _Unreadable(node, f"{_what(node)}, which is too large,")
    return value


def _computed(node: ast.AST, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            if node.id not in names:
                raise _Unreadable(node, f"the unknown name {node.id}")
            return names[node.id]
        case ast.List() | ast.Tuple() | ast.Set():
            values = [_value(e, names) for e in node.elts]
            return tuple(values) if isinstance(node, ast.Tuple) else values
        case ast.Dict():
            result: dict[Any, Any] = {}
            for key, value in zip(node.keys, node.values, strict=True):
                result.update(_value(value, names) if key is None else {_value(key, names): _value(value, names)})
            return result
        case ast.Call(func=ast.Name(id=called)) if called in _CALLS:
            keywords: dict[str, Any] = {}
            for keyword in node.keywords:
                value = _value(keyword.value, names)
                keywords.update(value if keyword.arg is None else {keyword.arg: value})
            return _CALLS[called](*[_value(a, names) for a in node.args], **keywords)
        case ast.BinOp() if type(node.op) in _OPERATORS:
            left, right = _value(node.left, names), _value(node.right, names)
            sizes = [len(v) for v in (left, right) if isinstance(v, str | list | tuple)]
            factors = [v for v in (left, right) if isinstance(v, int)]
            if isinstance(node.op, ast.Mod) and isinstance(left, str | bytes):
                # "%999999999d" is short, what comes of it is not.
                raise _Unreadable(node, _what(node))
            if isinstance(node.op, ast.Mult) and sizes and factors and sizes[0] * factors[0] > _LARGEST:
                raise _Unreadable(node, f"{_what(node)}, which is too large,")
            return _OPERATORS[type(node.op)](left, right)
        case ast.UnaryOp() if type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](_value(node.operand, names))
        case ast.Subscript():
            return _value(node.value, names)[_value(node.slice, names)]
        case ast.JoinedStr():
            return "".join(str(_value(v, names)) for v in node.values)
        case ast.FormattedValue(format_spec=None, conversion=-1):
            return _value(node.value, names)
        case ast.ListComp(generators=[ast.comprehension(target=target, iter=over, ifs=[])]):
            return [_value(node.elt, {**names, **_bound(target, item)}) for item in _value(over, names)]
    raise _Unreadable(node, _what(node))


def _bound(target: ast.AST, item: Any) -> dict[str, Any]:
    if isinstance(target, ast.Name):
        return {target.id: item}
    if isinstance(target, ast.Tuple) and len(target.elts) == len(item):
        return {k: v for t, i in zip(target.elts, item, strict=True) for k, v in _bound(t, i).items()}
    raise _Unreadable(target, _what(target))
