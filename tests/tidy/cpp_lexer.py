"""Just enough C++ to lint statements: blanks what is not code, and finds the statements that contain co_await."""

import re
from dataclasses import dataclass, field

_NOT_CODE = re.compile(
    r"""
      (?P<comment> //[^\n]*(?:\\\n[^\n]*)* | /\*.*?\*/ )
    | (?P<raw>     \b(?:u8|u|U|L)?R"(?P<tag>[^()\\\s]{0,16})\(.*?\)(?P=tag)" )
    | (?P<string>  "(?:\\.|[^"\\\n])*" )
    | (?P<number>  \b\d(?:'?[\w.])* )
    | (?P<char>    '(?:\\.|[^'\\\n])+' )
    """,
    re.VERBOSE | re.DOTALL,
)


def _blank(text):
    return re.sub(r"[^\n]", " ", text)


def code_of(text):
    """The text with comments, strings and character literals blanked; every offset and line stays where it was."""

    def replace(match):
        if match.lastgroup == "number" or match.group("number"):
            return match.group(0)
        if match.group("string"):
            return '"' + _blank(match.group(0)[1:-1]) + '"'
        return _blank(match.group(0))

    return _NOT_CODE.sub(replace, text)


def without_preprocessor(code):
    return re.sub(r"^[ \t]*#(?:\\\n|[^\n])*", lambda match: _blank(match.group(0)), code, flags=re.MULTILINE)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


@dataclass
class Await:
    offset: int
    callers: list  # the words before the parentheses around it, innermost first
    in_braces: bool  # inside an initialiser in braces


@dataclass
class Statement:
    """A statement with co_await in it. Bodies of lambdas are left out of the text: they are statements of their own."""

    text: str
    awaits: list
    has_braces: bool


@dataclass
class CoroutineLambda:
    offset: int
    captures: str


@dataclass
class _Block:
    opened_at: int
    captures: object = None  # the text between [ and ] if this is the body of a lambda
    reported: bool = False
    pieces: list = field(default_factory=list)
    awaits: list = field(default_factory=list)
    has_braces: bool = False
    start: int = 0


@dataclass
class _Bracket:
    kind: str  # ( or [ or {
    word: str


_LAMBDA_HEAD = re.compile(
    r"(?<![\w\])])\[(?P<captures>[^\[\]]*)\]\s*"
    r"(?:<[^{};]*>\s*)?(?:\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)\s*)?"
    r"(?:mutable\b\s*|constexpr\b\s*|noexcept\b\s*)*(?:->[^{};=]*)?$"
)
_BEFORE_INITIALISER = re.compile(r"(?:[=,(\[{]|\b(?:return|co_return|co_yield|co_await))\s*$")
_TOKEN = re.compile(r"[()\[\]{};]|\bco_(?:await|return|yield)\b")


def statements(code):
    """Yields every Statement and CoroutineLambda of `code` (blanked, without preprocessor lines).

    A brace with a space before it opens a block, a brace without one (or after = , ( return) an initialiser: the
    repository's clang-format writes them so.
    """
    found = []
    stack = [_Block(0)]

    def block():
        return next(item for item in reversed(stack) if isinstance(item, _Block))

    def finish(end):
        owner = block()
        if owner.awaits:
            text = "".join(owner.pieces) + code[owner.start : end]
            found.append(Statement(text, owner.awaits, owner.has_braces))
        owner.pieces, owner.awaits, owner.has_braces, owner.start = [], [], False, end + 1

    for token in _TOKEN.finditer(code):
        kind, at = token.group(0), token.start()
        if kind in "([":
            word = re.search(r"(\w+)\s*(?:<[^<>;{}]*>\s*)?$", code[max(0, at - 200) : at])
            stack.append(_Bracket(kind, word.group(1) if word else ""))
        elif kind == "{":
            owner = block()
            before = code[owner.start : at]
            head = _LAMBDA_HEAD.search(before)
            spaced = at == 0 or code[at - 1].isspace()
            if head:
                owner.pieces.append(before)
                stack.append(_Block(at, head.group("captures"), start=at + 1))
            elif not spaced or _BEFORE_INITIALISER.search(before):
                owner.has_braces = True
                stack.append(_Bracket(kind, ""))
            else:
                finish(at)
                stack.append(_Block(at, start=at + 1))
        elif kind in ")]":
            if isinstance(stack[-1], _Bracket):
                stack.pop()
        elif kind == "}":
            if isinstance(stack[-1], _Bracket):
                stack.pop()
            elif len(stack) > 1:
                finish(at)
                closed = stack.pop()
                block().start = at + 1
                if closed.captures is None:
                    block().pieces = []
        elif kind == ";":
            if isinstance(stack[-1], _Block):
                finish(at)
        else:
            function = next((b for b in reversed(stack) if isinstance(b, _Block) and b.captures is not None), None)
            if function and function.captures.strip() and not function.reported:
                function.reported = True
                found.append(CoroutineLambda(at, function.captures.strip()))
            if kind == "co_await":
                callers, in_braces = [], False
                for item in reversed(stack):
                    if isinstance(item, _Block):
                        break
                    in_braces = in_braces or item.kind == "{"
                    if item.kind != "{":
                        callers.append(item.word)
                block().awaits.append(Await(at, callers, in_braces))
    return found
