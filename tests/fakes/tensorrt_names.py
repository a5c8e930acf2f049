"""Reads which of TensorRT's names a source file uses, and holds each against the bindings of one version.

Types come from annotations (mm_edge/runtime/engines/tensorrt/names.py) and from the bindings' own signatures. A branch
that `hasattr` or the library's kind closes in that version is not read, as it does not run there.
"""

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import takewhile

MODULE = "TensorRT"
UNKNOWN = "?"  # comes from TensorRT, and nobody says as what: whoever uses it must annotate it
OURS = None
OF_PYTHON = ("__init__", "__members__")
SIGNATURE = re.compile(r"^(?:\d+\. )?\w+\((.*)\) -> (.+)$", re.MULTILINE)
GETTER = re.compile(r"\) -> (.+?)\s*$", re.MULTILINE)


def split_parameters(text: str) -> list[tuple[str, bool]]:
    """Names with whether each may be left out; `self` is dropped."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text + ","):
        depth += (letter in "([{<") - (letter in ")]}>")
        if letter == "," and depth == 0:
            parts.append(text[start:place].strip())
            start = place + 1
    given = [part for part in parts if part]
    named = [(re.split(r"[:=]", part)[0].strip(), "=" in part) for part in given]
    return [each for each in named if each[0] not in {"self", "arg0"}]


@dataclass
class Checker:
    """`classes`: our own, by name, with the types of their annotated fields."""

    described: dict
    rtx: bool
    classes: dict[str, dict[str, str | None]]
    returns: dict[str, str | None]
    theirs: set[str]  # names that only TensorRT's things have
    file: str = ""
    used: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    # --- what the bindings say

    def members(self, owner: str) -> dict:
        return self.described["names"].get(owner) or {}

    def has(self, owner: str, name: str) -> bool:
        return name in (self.described["names"] if owner == MODULE else self.members(owner.removeprefix("class ")))

    def resolve(self, told: str) -> str | None:
        """A type as the bindings spell it."""
        name = told.strip().rsplit(".", 1)[-1]
        if isinstance(self.described["names"].get(name), dict):
            return name
        return UNKNOWN if "::" in told or "tensorrt" in told else OURS

    def fault(self, node: ast.AST, text: str) -> None:
        self.faults.append(f"{self.file}:{node.lineno}: {text}")

    # --- expressions

    def attribute(self, owner: str | None, name: str, node: ast.AST, *, is_set: bool = False) -> str | None:
        """The type of `owner.name`, which is checked where the owner is TensorRT's."""
        if owner in self.classes:
            return self.classes[owner].get(name, OURS)
        if owner in {OURS, UNKNOWN} or owner.startswith("of "):
            if owner == UNKNOWN or (owner is OURS and name in self.theirs):
                self.fault(node, f"nobody says what '.{name}' is asked of: annotate it")
            return UNKNOWN if owner else OURS
        self.used.add(f"{owner.removeprefix('class ')}.{name}")
        if not self.has(owner, name):
            self.fault(node, f"{owner} has no '{name}'")
            return UNKNOWN
        if owner == MODULE:
            return f"class {name}" if isinstance(self.described["names"][name], dict) else OURS
        return self.member(owner, name, node, is_set=is_set)

    def member(self, owner: str, name: str, node: ast.AST, *, is_set: bool) -> str | None:
        told = self.members(owner.removeprefix("class "))[name]
        if is_set and not told.get("set"):
            self.fault(node, f"{owner}.{name} cannot be set")
        if told["kind"] == "property" and not owner.startswith("class "):
            found = GETTER.findall(told["doc"])
            return self.resolve(found[-1]) if found else UNKNOWN
        return owner.removeprefix("class ") if told["kind"] == "value" else OURS

    def call(self, node: ast.Call, env: dict) -> str | None:
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        if not (isinstance(node.func, ast.Name) and node.func.id == "hasattr"):
            for argument in arguments:
                self.expression(argument, env)
        if isinstance(node.func, ast.Attribute):
            owner = self.expression(node.func.value, env)
            found = self.attribute(owner, node.func.attr, node)
            if owner is OURS or owner in self.classes or owner == UNKNOWN or owner.startswith("of "):
                return UNKNOWN if owner is not OURS and owner not in self.classes else OURS
            if found is not OURS and found.startswith("class "):
                return self.signature(found, "__init__", node, found.removeprefix("class "))
            if owner != MODULE and self.has(owner, node.func.attr):
                return self.signature(owner, node.func.attr, node, None)
            return OURS
        if isinstance(node.func, ast.Name):
            return node.func.id if node.func.id in self.classes else self.returns.get(node.func.id, OURS)
        return self.expression(node.func, env)

    def signature(self, owner: str, name: str, node: ast.Call, result: str | None) -> str | None:
        """Checks the arguments against every overload; one must take them."""
        told = self.members(owner.removeprefix("class "))[name]["doc"]
        found = [(params, back) for params, back in SIGNATURE.findall(told) if params != "*args, **kwargs"]
        if not found:
            self.fault(node, f"{owner}.{name} shows no signature")
            return result or UNKNOWN
        # A call on the class itself, as in Base.__init__(self), gives `self` by hand.
        count = len(node.args) - (owner.startswith("class ") and result is None)
        keywords = {keyword.arg for keyword in node.keywords}
        for params, back in found:
            names = split_parameters(params)
            left = names[count:]
            known = count <= len(names) and keywords <= {each for each, _ in left}
            if known and all(optional or each in keywords for each, optional in left):
                return result or self.resolve(back)
        self.fault(node, f"{owner}.{name} takes {' or '.join(params for params, _ in found)}")
        return result or UNKNOWN

    def expression(self, node: ast.expr | None, env: dict) -> str | None:
        if node is None:
            return OURS
        return getattr(self, f"_{type(node).__name__.lower()}", self._other)(node, env)

    def _name(self, node: ast.Name, env: dict) -> str | None:
        return env.get(node.id, OURS)

    def _attribute(self, node: ast.Attribute, env: dict) -> str | None:
        return self.attribute(self.expression(node.value, env), node.attr, node)

    def _call(self, node: ast.Call, env: dict) -> str | None:
        return self.call(node, env)

    def _subscript(self, node: ast.Subscript, env: dict) -> str | None:
        owner = self.expression(node.value, env)
        self.expression(node.slice, env)
        return owner.removeprefix("of ") if owner else OURS

    def _comprehension(self, node: ast.expr, env: dict) -> str | None:
        inner = dict(env)
        for generator in node.generators:
            source = self.expression(generator.iter, inner)
            self.assign(generator.target, UNKNOWN if source else OURS, inner)
            for test in generator.ifs:
                self.expression(test, inner)
        for part in [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]:
            self.expression(part, inner)
        return OURS

    _generatorexp = _listcomp = _setcomp = _dictcomp = _comprehension

    def _lambda(self, node: ast.Lambda, env: dict) -> str | None:
        self.expression(node.body, dict(env))
        return OURS

    def _ifexp(self, node: ast.IfExp, env: dict) -> str | None:
        truth = self.truth(node.test, env)
        reached = {True: [node.body], False: [node.orelse], None: [node.test, node.body, node.orelse]}[truth]
        return self._first_of_theirs(reached, env)

    def _boolop(self, node: ast.BoolOp, env: dict) -> str | None:
        if isinstance(node.op, ast.And):
            return self._first_of_theirs(takewhile(lambda value: self.truth(value, env) is not False, node.values), env)
        return self._first_of_theirs(node.values, env)

    def _first_of_theirs(self, nodes: Iterable[ast.expr], env: dict) -> str | None:
        kinds = [self.expression(node, env) for node in nodes]
        return next((kind for kind in kinds if kind is not OURS), OURS)

    def _other(self, node: ast.expr, env: dict) -> str | None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.expression(child, env)
        return OURS

    # --- statements

    def assign(self, target: ast.expr, kind: str | None, env: dict) -> None:
        if isinstance(target, ast.Name):
            env[target.id] = kind
        elif isinstance(target, ast.Attribute):
            owner = self.expression(target.value, env)
            if owner in self.classes and kind is not OURS:
                self.classes[owner].setdefault(target.attr, kind)
            self.attribute(owner, target.attr, target, is_set=True)
        elif isinstance(target, ast.Subscript):
            self.expression(target.value, env)
        elif isinstance(target, ast.Tuple):
            for each in target.elts:
                self.assign(each, kind if kind == UNKNOWN else OURS, env)

    def truth(self, test: ast.expr, env: dict) -> bool | None:
        """What a test comes to in this version; None where it depends on more."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            inner = self.truth(test.operand, env)
            return None if inner is None else not inner
        if isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and test.func.id == "hasattr":
            owner = self.expression(test.args[0], env)
            return self.has(owner, test.args[1].value) if owner else None
        if isinstance(test, ast.Compare) and ast.unparse(test) == "library.kind == 'tensorrt-rtx'":
            return self.rtx
        return None

    def block(self, statements: list[ast.stmt], env: dict) -> bool:
        """False: what stands after it is not reached."""
        return all(self.statement(statement, env) for statement in statements)

    def statement(self, node: ast.stmt, env: dict) -> bool:
        reached = getattr(self, f"_{type(node).__name__.lower()}", self._other_statement)(node, env)
        return reached is not False and not isinstance(node, ast.Return | ast.Raise)

    def _if(self, node: ast.If, env: dict) -> bool:
        truth = self.truth(node.test, env)
        if truth is None:
            self.expression(node.test, env)
        into = truth is not False and self.block(node.body, env)
        past = truth is not True and self.block(node.orelse, env)
        return into or past

    def _functiondef(self, node: ast.FunctionDef, env: dict) -> None:
        self.function(node, env)

    def _classdef(self, node: ast.ClassDef, env: dict) -> None:
        self.a_class(node, env)

    def _annassign(self, node: ast.AnnAssign, env: dict) -> None:
        given = self.expression(node.value, env)
        self.assign(node.target, self.annotated(node.annotation) or given, env)

    def _assign(self, node: ast.Assign, env: dict) -> None:
        target, value = node.targets[0], node.value
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for each, given in zip(target.elts, [self.expression(part, env) for part in value.elts], strict=True):
                self.assign(each, given, env)
            return
        kind = self.expression(value, env)
        for each in node.targets:
            self.assign(each, kind, env)

    def _for(self, node: ast.For, env: dict) -> None:
        source = self.expression(node.iter, env)
        self.assign(node.target, UNKNOWN if source else OURS, env)
        self.block(node.body, env)

    def _import(self, node: ast.stmt, env: dict) -> None:
        """Names of ours."""

    _importfrom = _import

    def _other_statement(self, node: ast.stmt, env: dict) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.expression(child, env)
            elif isinstance(child, ast.stmt):
                self.statement(child, env)
            elif isinstance(child, ast.withitem):
                self.expression(child.context_expr, env)
            elif isinstance(child, ast.ExceptHandler):
                self.block(child.body, env)

    def annotated(self, node: ast.expr | None) -> str | None:
        return annotation(node, self.described["names"], self.classes)

    def function(self, node: ast.FunctionDef, env: dict, this: str | None = None) -> None:
        inner = dict(env)
        for place, argument in enumerate([*node.args.args, *node.args.kwonlyargs]):
            inner[argument.arg] = this if place == 0 and this else self.annotated(argument.annotation)
        self.block(node.body, inner)

    def a_class(self, node: ast.ClassDef, env: dict) -> None:
        bases = [self.expression(base, env) for base in node.bases]
        base = next((kind.removeprefix("class ") for kind in bases if kind and kind.startswith("class ")), None)
        for each in node.body:
            if isinstance(each, ast.FunctionDef):
                if base and each.name != "__init__":
                    self.override(base, each)
                self.function(each, env, this=node.name if node.name in self.classes else None)
            else:
                self.statement(each, dict(env))

    def override(self, base: str, node: ast.FunctionDef) -> None:
        self.used.add(f"{base}.{node.name}")
        told = self.members(base).get(node.name)
        if told is None:
            self.fault(node, f"{base} calls no '{node.name}'")
            return
        wanted = [[name for name, _ in split_parameters(params)] for params, _ in SIGNATURE.findall(told["doc"])]
        if [argument.arg for argument in node.args.args[1:]] not in wanted:
            self.fault(node, f"{base}.{node.name} is called with {wanted}")


def annotation(node: ast.expr | None, names: dict, classes: dict) -> str | None:
    """A class of TensorRT or of ours; `of X` for what holds some of TensorRT's."""
    if isinstance(node, ast.Name):
        return node.id if node.id in {MODULE, *names, *classes} else OURS
    if isinstance(node, ast.BinOp):
        return annotation(node.left, names, classes) or annotation(node.right, names, classes)
    if isinstance(node, ast.Subscript):
        inner = [each.id for each in ast.walk(node.slice) if isinstance(each, ast.Name) and each.id in names]
        return f"of {inner[-1]}" if inner else OURS
    return OURS


@lru_cache(maxsize=256)
def _parsed(text: str) -> tuple[ast.Module, tuple[ast.AST, ...]]:
    """The tree, and its definitions. Cached: a misspelt name changes few of a room's files."""
    tree = ast.parse(text)
    return tree, tuple(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef))


def check(sources: dict[str, str], described: dict, *, rtx: bool) -> Checker:
    """Reads all files of a room."""
    parsed = {file: _parsed(text) for file, text in sources.items()}
    trees = {file: tree for file, (tree, _) in parsed.items()}
    every = [node for _, definitions in parsed.values() for node in definitions]
    classes: dict = {node.name: {} for node in every if isinstance(node, ast.ClassDef)}
    names = described["names"]
    for node in every:
        if isinstance(node, ast.ClassDef):
            for each in ast.walk(node):
                if isinstance(each, ast.AnnAssign):
                    target = each.target
                    name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
                    classes[node.name][name] = annotation(each.annotation, names, classes)
    returns = {
        node.name: annotation(node.returns, names, classes) for node in every if isinstance(node, ast.FunctionDef)
    }
    theirs = {name for name, members in names.items() if members is not None and not name.startswith("__")}
    theirs |= {member for members in names.values() for member in members or () if "_" in member.strip("_")}
    theirs -= {node.name for node in every if isinstance(node, ast.FunctionDef)} | {*OF_PYTHON}
    theirs -= {name for fields in classes.values() for name in fields}
    for _ in range(2):  # what a method sets of its object, another that stands before it may read
        checker = Checker(described, rtx, classes, returns, theirs)
        for file, tree in trees.items():
            checker.file = file
            checker.block(tree.body, {})
    return checker
