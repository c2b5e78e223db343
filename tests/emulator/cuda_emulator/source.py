"""From the text of a CUDA module to the text that g++ compiles: shared memory, and an entry for each kernel."""

import re

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_DYNAMIC = re.compile(
    r"extern\s+__shared__\s+(?:(?:__align__|alignas)\s*\([^)]*\)\s*)?(?P<type>[^;\[\]]+?)\s*\b(?P<name>\w+)\s*\[\s*\]\s*;"
)
_STATIC = re.compile(r"(?:static\s+)?__shared__\s+(?:(?:__align__|alignas)\s*\([^)]*\)\s*)?(?P<declaration>[^;={]+);")
_DECLARATION = re.compile(r"(?P<type>.*?)\s*\b(?P<name>\w+)\s*(?P<sizes>(?:\[[^;]*\]\s*)*)", re.DOTALL)


def translate(code: str, kernels: list[str]) -> str:
    """Rewrite shared memory, line for line, and add an entry for each kernel."""
    entries = "".join(
        f'extern "C" void emulator_run_{name}(void** arguments) '
        f"{{ emulator::Kernel<decltype(&{name})>::run(&{name}, arguments); }}\n"
        f'extern "C" int emulator_describe_{name}(emulator::Parameter* out, int most) '
        f"{{ return emulator::Kernel<decltype(&{name})>::describe(out, most); }}\n"
        for name in kernels
    )
    return f'#line 1 "kernel.cu"\n{_rewrite_shared(code)}\n#line 1 "entries"\n{entries}'


def _rewrite_shared(code: str) -> str:
    blank = _COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), code)
    found = [*_DYNAMIC.finditer(blank), *_STATIC.finditer(_DYNAMIC.sub(lambda match: " " * len(match[0]), blank))]
    for match in sorted(found, key=lambda match: match.start(), reverse=True):
        new = _dynamic(match) if match.re is _DYNAMIC else _static(match["declaration"])
        code = code[: match.start()] + new + "\n" * match[0].count("\n") + code[match.end() :]
    if "__shared__" in _COMMENT.sub(" ", code):
        raise SyntaxError("a __shared__ declaration that the emulator does not understand")
    return code


def _dynamic(match: re.Match[str]) -> str:
    return f"auto {match['name']} = static_cast<{match['type']}*>(emulator_dynamic_shared());"


def _static(declaration: str) -> str:
    """`float a[32], b` becomes a reference for each into storage of its own, which is poisoned in every block."""
    first, *others = _split(declaration)
    match = _DECLARATION.fullmatch(first)
    assert match is not None, declaration
    kind, rest = match["type"], first[match.start("name") :]
    return " ".join(_one_static(kind, part) for part in (rest, *others))


def _one_static(kind: str, declarator: str) -> str:
    match = re.fullmatch(r"\s*(\w+)\s*((?:\[.*\]\s*)*)", declarator, re.DOTALL)
    assert match is not None, declarator
    name, sizes = match[1], " ".join(match[2].split())
    storage = f"emulator_shared_{name}"
    return f'static emulator::Shared<{kind} {sizes}> {storage}; auto& {name} = {storage}.enter("{name}");'


def _split(text: str) -> list[str]:
    """Split at commas that are outside all brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([{<") - (character in ")]}>")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts
