"""Finds every error that a person can meet, with its text as a template, in the syntax trees of the package.

What is filled into a text and is a sentence of its own, such as a complaint about one field, has a template of its own;
a text that is nothing but what is filled in has none. `python docs/errors_raised.py` lists them.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from error_texts import FILLED, Function, Module, Texts, last_name

PACKAGE = Path(__file__).parent.parent / "optimove_provider"
LEFT_OUT = ("emulator", "demo")  # nobody meets these in a load
ROOT = "OptimoveProviderError"
TOLD = {
    "as_airflow_failure": 0,
    "NoForm": 0,
    "ValueError": 0,
    "ArgumentTypeError": 0,
    "AirflowException": 0,
    "AirflowFailException": 0,
}
"""What is no error of ours, and whose text is told all the same: which of its arguments that is."""
REASONS = {"Unread": 1, "UnfitValue": 1, "Unfit": 3}
"""What a row is rejected for."""


@dataclass
class Raised:
    """A text, the classes of errors that have it, and the modules that make them."""

    text: str
    kinds: set[str] = field(default_factory=set)
    modules: set[str] = field(default_factory=set)


class Package:
    """All modules of the package, and the errors that they make."""

    def __init__(self, folder: Path = PACKAGE) -> None:
        paths = [path.relative_to(folder) for path in sorted(folder.rglob("*.py"))]
        read = [Module.read(folder, path) for path in paths if path.parts[0] not in LEFT_OUT]
        self.modules = {one.name: one for one in read}
        nodes = [(module, node) for module in read for node in ast.walk(module.tree)]
        self.classes = {node.name: (module, node) for module, node in nodes if isinstance(node, ast.ClassDef)}
        self.ours = {name for name in self.classes if ROOT in self.line(name)}

    def line(self, name: str) -> list[str]:
        """A class and what it comes from, as far as that is ours."""
        if name not in self.classes:
            return []
        return [name, *(one for base in self.classes[name][1].bases for one in self.line(last_name(base)))]

    def raised(self) -> list[Raised]:
        """Every error, once for each text."""
        found: dict[str, Raised] = {}
        for module in self.modules.values():
            for kind, text in self._of(module):
                one = found.setdefault(text, Raised(text))
                one.kinds.add(kind)
                one.modules.add(module.name)
        return [found[text] for text in sorted(found)]

    def untold(self) -> set[tuple[str, str]]:
        """The modules and classes of our errors of which no text can be read."""
        made = ((module, one) for module in self.modules.values() for calls in module.calls.values() for one in calls)
        return {
            (module.name, kind)
            for module, call in made
            for kind, expression in self._made(module, call)
            if kind in self.ours and not any(map(_is_text, Texts(self.modules, module).whole(expression)))
        }

    def _of(self, module: Module) -> Iterator[tuple[str, str]]:
        for call in (call for calls in module.calls.values() for call in calls):
            for kind, expression in self._made(module, call):
                texts = Texts(self.modules, module).whole(expression)
                yield from ((kind, text) for text in texts if _is_text(text))
            for kind in self._named(module, call.func):
                yield from ((kind, text) for text in self._own(kind))

    def _made(self, module: Module, call: ast.Call) -> Iterator[tuple[str, ast.expr]]:
        """The class and the text of an error, or of a reason, that is made by a call."""
        name, arguments = last_name(call.func), call.args
        kinds = [one for one in self._named(module, call.func) if one in self.ours and not self.init(one)]
        place = 0 if kinds else (TOLD | REASONS).get(name)
        if place is not None and len(arguments) > place and not isinstance(arguments[place], ast.Starred):
            yield from ((kind, arguments[place]) for kind in kinds or [name])
        elif name == "append" and last_name(getattr(call.func, "value", call)) == "complaints":
            yield "SettingsError", arguments[0]
        elif name == "fromkeys" and len(arguments) > 1 and isinstance(arguments[1], ast.Name):
            yield "NoForm", arguments[1]

    def _named(self, module: Module, called: ast.expr) -> list[str]:
        """The classes that a name may stand for, which a variable may hold."""
        if last_name(called) == "cls":
            return [module.classes[called]]
        if not (isinstance(called, ast.Name) and called.id not in self.classes and called in module.around):
            return [last_name(called)]
        values = Texts(self.modules, module).assigned(called.id, module.around[called])
        return [last_name(node) for value in values for node in ast.walk(value) if isinstance(node, ast.Name)]

    def init(self, name: str) -> tuple[Module, ast.expr] | None:
        """The text that a class makes in its `__init__`; None if it takes it as it is given."""
        for module, node in (self.classes[one] for one in self.line(name) if one != ROOT):
            for function in node.body:
                if isinstance(function, Function) and function.name == "__init__":
                    return (module, text) if (text := _told_on(function)) else None
        return None

    def _own(self, name: str) -> Iterator[str]:
        """The text of a class that makes its own, after the name of the class, and what is filled in."""
        if found := name in self.ours and self.init(name):
            text, *filled = Texts(self.modules, found[0]).whole(found[1])
            yield from (f"{name}: {text}{self._next_step(name)}", *filled)

    def _next_step(self, name: str) -> str:
        """What a class has said after its text."""
        for _, node in (self.classes[one] for one in self.line(name)):
            for own in node.body:
                if isinstance(own, ast.Assign) and last_name(own.targets[0]) == "next_step":
                    return ". " + str(ast.literal_eval(own.value)).replace("{keys}", FILLED)
        return ""


def _told_on(function: Function) -> ast.expr | None:
    """What an `__init__` makes and tells the class above."""
    for call in ast.walk(function):
        if isinstance(call, ast.Call) and last_name(call.func) == "__init__":
            return call.args[0] if isinstance(call.args[0], ast.JoinedStr) else None
    return None


def _is_text(text: str) -> bool:
    return any(map(str.isalpha, text))


if __name__ == "__main__":
    for one in Package().raised():
        print(one.text)  # noqa: T201 - it is what this is run for
