"""The texts that an expression of the package may be, as templates, read from its syntax trees.

A template is a text as it is written, with `…` for each value that is filled in when it is told. Variables, parameters,
constants and functions of the package are followed as far as they are simple; nothing is imported or run.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

FILLED = "…"
SENTENCE = re.compile(r"(?![.,:; ])(?s:.*)\w+\W+\w+\W+\w+(?s:.*)(?<![, ])")
"""What is filled in, and is no name or value."""
KEPT = ("problem", "reason", "complaints", "_told")
"""Attributes and properties that hold texts of errors."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Module:
    """A module, and what its texts may be made of."""

    name: str
    tree: ast.Module
    constants: dict[str, ast.expr] = field(default_factory=dict)
    functions: dict[str, list[Function]] = field(default_factory=dict)
    imported: dict[str, tuple[str, str]] = field(default_factory=dict)
    around: dict[ast.AST, Function] = field(default_factory=dict)
    calls: dict[str, list[ast.Call]] = field(default_factory=dict)
    classes: dict[ast.AST, str] = field(default_factory=dict)
    known: dict[ast.expr, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, path: Path) -> "Module":
        """Parse a module, by its path within the package's folder."""
        name = path.with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
        found = cls(name, ast.parse(folder.joinpath(path).read_text("utf-8")))
        for node in ast.walk(found.tree):
            found._learn(node)
        return found

    def _learn(self, node: ast.AST) -> None:
        if isinstance(node, ast.Call):
            self.calls.setdefault(last_name(node.func), []).append(node)
        elif isinstance(node, ast.ClassDef):
            self.classes |= dict.fromkeys(ast.walk(node), node.name)
        elif isinstance(node, Function):
            self.functions.setdefault(node.name, []).append(node)
            self.around |= dict.fromkeys(ast.walk(node), node)  # inner functions come later, and take theirs over
        elif isinstance(node, ast.ImportFrom) and node.module:
            self.imported |= {one.asname or one.name: (node.module.partition(".")[2], one.name) for one in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node not in self.around and node.value:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            self.constants.setdefault(last_name(target), node.value)


def one_line(text: str) -> str:
    """The text with one space where there is any white space."""
    return re.sub(r"\s+", " ", text)


def last_name(node: ast.AST) -> str:
    """`b` of a.b, and of b."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


@dataclass(frozen=True)
class Texts:
    """The texts that an expression may be."""

    modules: Mapping[str, Module]
    module: Module

    def whole(self, node: ast.expr) -> list[str]:
        """All texts of an error: those of the whole, and those that are filled in and say something themselves."""
        told = self.told(node)
        is_text = isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp)
        return [*told[:is_text], *(one for one in told[is_text:] if SENTENCE.fullmatch(one))]

    def told(self, node: ast.expr) -> list[str]:
        """All texts: those of the whole first, then those that are filled in."""
        if node not in self.module.known:
            self.module.known[node] = []  # of a text that is filled into itself
            self.module.known[node] = list(dict.fromkeys(self._told(node)))
        return self.module.known[node]

    def _told(self, node: ast.expr) -> Iterator[str]:
        if isinstance(node, ast.Constant):
            yield from [one_line(node.value)] if isinstance(node.value, str) else []
        elif isinstance(node, ast.JoinedStr | ast.BinOp):
            yield re.sub(f"{FILLED}( ?{FILLED})+", FILLED, one_line(self.template(node)))
            yield from (text for value in self._filled(node) for text in self.told(value))
        elif isinstance(node, ast.Call):
            yield from self._called(node)
        elif isinstance(node, ast.Name):
            yield from self._name(node)
        elif isinstance(node, ast.Attribute) and node.attr in KEPT:
            yield from self._kept(node.attr)
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            yield from self.told(node.value)
        else:
            yield from (text for child in _choices(node) for text in self.told(child))

    def template(self, node: ast.expr) -> str:
        """The text as it is written."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        if isinstance(node, ast.JoinedStr):
            return "".join(map(self.template, node.values))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self.template(node.left) + self.template(node.right)
        if isinstance(node, ast.FormattedValue):
            return self.template(node.value) if isinstance(node.value, ast.Name) else FILLED
        constant = self.constant(node.id) if isinstance(node, ast.Name) else None
        return Texts(self.modules, constant[0]).template(constant[1]) if constant else FILLED

    def constant(self, name: str) -> tuple[Module, ast.expr] | None:
        """A text in capitals that a module holds, or takes from another."""
        module, name = self.place(name)
        found = module.constants.get(name)
        is_text = isinstance(found, ast.Constant | ast.JoinedStr | ast.BinOp)
        return (module, found) if found and is_text and name.isupper() else None

    def place(self, name: str) -> tuple[Module, str]:
        """Where a name comes from."""
        source, there = self.module.imported.get(name, ("", ""))
        return (self.modules[source], there) if source in self.modules else (self.module, name)

    def _filled(self, node: ast.expr) -> Iterator[ast.expr]:
        if isinstance(node, ast.JoinedStr):
            yield from (one.value for one in node.values if isinstance(one, ast.FormattedValue))
        elif isinstance(node, ast.BinOp):
            for side in (one for one in (node.left, node.right) if not isinstance(one, ast.Constant)):
                yield from self._filled(side) if isinstance(side, ast.JoinedStr | ast.BinOp) else [side]

    def _called(self, node: ast.Call) -> Iterator[str]:
        """What a function of ours gives; of any other, what it is given."""
        name = last_name(node.func)
        if name == "format" and isinstance(node.func, ast.Attribute):
            yield from (re.sub(r"{\w*}", FILLED, text) for text in self.told(node.func.value))
            return
        if name == "get" and isinstance(node.func, ast.Attribute):
            yield from self.told(node.func.value)
        module, there = self.place(name)
        for function in module.functions.get(there, ()):
            yield from Texts(self.modules, module).given(function)
        for argument in node.args:
            yield from self.told(argument)

    def given(self, function: Function) -> list[str]:
        """What a function returns or yields."""
        nodes = [node for node in ast.walk(function) if self.module.around.get(node) is function]
        values = [one.value for one in nodes if isinstance(one, ast.Return | ast.Yield | ast.YieldFrom) and one.value]
        return [text for value in values for text in self.told(value)]

    def _name(self, node: ast.Name) -> Iterator[str]:
        """What a variable, a parameter or a constant may hold."""
        function = self.module.around.get(node)
        if function and node.id in _parameters(function):
            yield from (text for value in self._passed(function, node.id) for text in self.told(value))
        elif function and (values := self.assigned(node.id, function)):
            yield from (text for value in values for text in self.told(value))
        else:
            module, name = self.place(node.id)
            if found := module.constants.get(name):
                yield from Texts(self.modules, module).told(found)

    def assigned(self, name: str, function: Function) -> list[ast.expr]:
        """What a variable of a function is set to."""
        found = []
        for node in ast.walk(function):
            if isinstance(node, ast.Assign | ast.AugAssign | ast.NamedExpr | ast.AnnAssign) and node.value:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found += [value for target in targets for value in _to(target, name, node.value)]
        return found

    def _passed(self, function: Function, name: str) -> Iterator[ast.expr]:
        """What the callers of a function pass as a parameter, and its default."""
        names = _parameters(function)
        for call in self.module.calls.get(function.name, ()):
            yield from (one.value for one in call.keywords if one.arg == name)
            if len(call.args) > (index := names.index(name)):
                yield call.args[index]
        yield from _defaults(function).get(name, ())

    def _kept(self, attribute: str) -> Iterator[str]:
        """What an attribute, or a property, of the module's own objects is."""
        for node in ast.walk(self.module.tree):
            if isinstance(node, ast.Assign) and any(last_name(one) == attribute for one in node.targets):
                yield from Texts(self.modules, self.module).told(node.value)
        for function in self.module.functions.get(attribute, ()):
            yield from Texts(self.modules, self.module).given(function)


def _parameters(function: Function) -> list[str]:
    named = [one.arg for one in (*function.args.args, *function.args.kwonlyargs)]
    return [one for one in named if one not in ("self", "cls")]


def _defaults(function: Function) -> dict[str, list[ast.expr]]:
    """What parameters are if nobody passes them."""
    given = function.args.defaults
    named = [one.arg for one in function.args.args[len(function.args.args) - len(given) :]]
    return {name: [value] for name, value in zip(named, given, strict=True)}


def _to(target: ast.expr, name: str, value: ast.expr) -> list[ast.expr]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return [found for one, its in zip(target.elts, value.elts, strict=False) for found in _to(one, name, its)]
    return [value] if isinstance(target, ast.Name) and target.id == name else []


def _choices(node: ast.expr) -> list[ast.expr]:
    """Of what an expression is one, or holds some."""
    match node:
        case ast.IfExp():
            return [node.body, node.orelse]
        case ast.BoolOp() | ast.Dict():
            return node.values
        case ast.List() | ast.Tuple():
            return node.elts
        case ast.Starred() | ast.YieldFrom():
            return [node.value]
        case ast.GeneratorExp() | ast.ListComp():
            return [node.elt]
    return []
