"""The shape of the package: who imports whom, and how soon `--help` comes."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import tessy

PACKAGE = Path(tessy.__file__).parent
ROOT = PACKAGE.parent.parent

LAYERS = """
_version
words errors printable loop
trajectory rows
boundary.protocol boundary.settings
turns repetition sizes
reading
boundary.segments boundary.metrics boundary.locate boundary.verbatim
boundary.lexemes
boundary.phrases
boundary.kinds
boundary.bookmarks
boundary.traces boundary.lexicon boundary.classifier boundary.walk boundary.tagger
boundary.transformers boundary.onnx boundary.judge
questions config
record
marked
verify.protocol verify.extract verify.numbers verify.limits verify.programs verify.cases
verify.columns verify.seccomp verify.guest
verify.suites verify.isolation
verify.sandbox
verify.workers
verify.exact verify.number verify.choice verify.math verify.gym verify.code verify.auto
verify.registry verify.responses
verify.judge
models.address
models.weights
models.llama_child
models.local
models.wire models.stream
models.faults models.following
models.client
models.replicas
boundary.served
boundary.registry
models.probe
models.tokens
models.formats
models.prefix
models.voice
models.open
models.examine
models.score
cooperate
sample
methods.method methods.prompts
methods.tessy methods.student_only methods.teacher_only methods.teacher_think
methods.teacher_answer methods.teacher_reference methods.teacher_score methods.attempts
methods.teacher_mix
methods
runs.folder
runs.packing
runs.journal runs.reader
runs.tally
runs.plan runs.progress runs.tools
runs.talk
runs.pool
runs.worker runs.crew
runs.synthesize
boundary.annotate
boundary.encode boundary.calibrate boundary.card boundary.export
boundary.fit
boundary.train
boundary.evaluate
boundary.report
evaluation.estimate
evaluation.measure
evaluation.collect
evaluation.settings
evaluation.evaluate
sft.masks sft.vocabulary
sft.gguf
sft.settings sft.losses
sft.folder sft.data
sft.render
sft.prepare
sft.epochs
sft.curve sft.exam sft.child
sft.sitting
sft.card sft.quiet sft.student
sft.evaluate
sft.fit
sft.train
export.sample
export.drops
export.counts export.split export.portable
export.limits
export.tokenizer export.contamination
export.duplicates
export.settings
export.filters
export.schema
export.source
export.jsonl
export.trl export.sharegpt
export.alpaca export.parquet
export.card
export.hf
export.hub export.formats
export.staging
export.job
view.filters view.facts
view.index
view.search view.follow
view.trace
view.pages view.guard
view.handlers
view.server
analysis serve
scoring
report
lab.world
lab.families.chain_sum lab.families.spell_backward lab.families.letter_counting
lab.families.number_filtering
lab.families
lab.questions
lab.voices
lab.members
lab.corpus
lab.vocabulary
lab.settings
lab.encode
lab.batches lab.score lab.segments lab.card
lab.network
lab.train
lab
lab.study.settings
lab.study.plan
lab.study.job
lab.study.conduct lab.study.results
lab.study.expect
lab.study.plots lab.study.page
lab.study.publish
lab.study
cli.places
cli.work cli.shipping cli.reporting cli.verdicts
cli.options cli.paint cli.scores
cli.show cli.view cli.doctor cli.synth cli.evaluate cli.predictor cli.export cli.sft cli.report
cli.verify cli.lab_study
cli.lab
cli
cli.main
__main__
"""
"""A line imports only from the lines above it; a room without modules of its own here is one.

Empty rooms' names are DESIGN's. `tessy` itself, the front door, names all and imports none.
"""

RANKS = {name: rank for rank, line in enumerate(LAYERS.splitlines()) for name in line.split()}
PURE = (
    *("turns", "reading", "sizes", "words", "trajectory", "repetition", "boundary.protocol"),
    *("verify.protocol", "verify.extract", "verify.numbers", "verify.programs", "verify.suites"),
    *("verify.cases", "verify.columns"),
    *("sft.masks", "export.sample", "export.drops", "export.counts", "export.split"),
    *("export.portable", "export.limits", "export.contamination"),
    *("evaluation.estimate", "evaluation.measure"),
)
DOORS = {
    *("analysis", "boundary", "evaluation", "export", "models", "report", "runs", "scoring"),
    *("lab", "sft", "verify", "view"),
}
"""Rooms whose own `__init__` is a docstring and no more."""
EFFECTS = {
    *("asyncio", "threading", "subprocess", "socket", "concurrent", "sqlite3", "aiohttp", "time"),
    *("torch", "transformers", "tokenizers", "random", "os", "io", "pathlib", "logging", "rich"),
}
HEAVY = (
    *("torch", "transformers", "aiohttp", "tokenizers", "pyarrow", "xllamacpp", "jinja2"),
    *("datasets", "pydantic", "huggingface_hub", "sqlite3", "asyncio", "numpy", "onnxruntime"),
)


def modules() -> dict[str, Path]:
    """Every module, by its name below `tessy`; the front door is the empty name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


MODULES = modules()
OWN = sorted(name for name in MODULES if name and not name.startswith("testing"))


def imports(name: str) -> set[str]:
    """What a module imports, anywhere in it: `tessy.…` of ours, first names of others'."""
    tree = ast.parse(MODULES[name].read_text("utf-8"))
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name} imports relatively"
            module = node.module or ""
            for alias in node.names:
                whole = f"{module}.{alias.name}"
                is_module = whole.removeprefix("tessy.") in MODULES
                found.add(whole if module.startswith("tessy") and is_module else module)
    return {item if item.split(".")[0] == "tessy" else item.split(".")[0] for item in found}


def ours(name: str) -> set[str]:
    """Modules of tessy that a module imports, the front door left out."""
    found = {item for item in imports(name) if item.split(".")[0] == "tessy"}
    return {item.removeprefix("tessy.") for item in found} - {"tessy", name}


def rank(name: str) -> int:
    """A module's line; a module of a room that stands as a whole has the room's."""
    room = name.split(".")[0]
    if name in RANKS:
        return RANKS[name]
    split = any(other.startswith(room + ".") for other in RANKS)
    assert room in RANKS, f"tessy.{name} has no place in LAYERS: put it where it belongs"
    assert not split, f"tessy.{name} has no place in LAYERS: put it where it belongs"
    return RANKS[room]


# --- Who imports whom ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in OWN if name not in DOORS])
def test_imports_go_one_way(name):
    room = name.split(".")[0]
    for other in sorted(ours(name) - DOORS):
        whole_room = room in RANKS and other.split(".")[0] == room and name not in RANKS
        assert rank(other) < rank(name) or whole_room, f"tessy.{name} imports tessy.{other}"


@pytest.mark.parametrize("name", sorted(DOORS))
def test_a_room_is_entered_without_its_furniture(name):
    assert not imports(name)


def test_the_front_door_imports_nothing_but_the_version_when_it_opens():
    code = "import sys, tessy; print([m for m in sys.modules if m.startswith('tessy.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['tessy._version']\n"


@pytest.mark.parametrize("name", OWN)
def test_nobody_imports_the_testing_room(name):
    assert not {other for other in ours(name) if other.split(".")[0] == "testing"}


@pytest.mark.parametrize("name", PURE)
def test_decisions_are_pure(name):
    """Nor do they reach the world through somebody they import."""
    seen, waiting = set(), [name]
    while waiting:
        module = waiting.pop()
        seen.add(module)
        assert not imports(module) & EFFECTS, f"tessy.{module}"
        waiting += ours(module) - seen
    rooms = {"boundary", "evaluation", "sft", "verify"}
    assert seen <= {*PURE, *rooms, "config", "errors"}


@pytest.mark.parametrize("room", sorted(DOORS))
def test_a_room_lists_its_modules_in_order(room):
    """Their docstrings say "Each imports only from those above it"."""
    listed = re.findall(r"^ {4}(\w+) {2,}\S", import_module(f"tessy.{room}").__doc__ or "", re.M)
    there = {name.split(".")[1] for name in OWN if name.startswith(f"{room}.")}
    assert set(listed) == there
    for index, name in enumerate(listed):
        above = {f"{room}.{other}" for other in listed[:index]}
        used = {other for other in ours(f"{room}.{name}") if other.startswith(f"{room}.")}
        in_room = {".".join(other.split(".")[:2]) for other in used}
        assert in_room <= {*above, f"{room}.{name}"}, f"tessy.{room}.{name}"


def test_the_guards_would_notice(tmp_path, monkeypatch):
    """The import reader sees every way to write an import."""
    module = tmp_path / "sinner.py"
    module.write_text(
        "import asyncio.tasks\nfrom tessy import record, __version__\n"
        "def late():\n    from tessy.runs import journal\n    import tessy.testing.faults\n"
        "from tessy.config import Config\n"
    )
    monkeypatch.setitem(MODULES, "sinner", module)
    assert imports("sinner") >= {"asyncio", "tessy"}
    assert ours("sinner") == {"record", "runs.journal", "testing.faults", "config"}
    with pytest.raises(AssertionError, match="no place in LAYERS"):
        rank("sinner")
    with pytest.raises(AssertionError, match="no place in LAYERS"):
        rank("runs.sinner")


# --- Instant help -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        *([], ["synth"], ["eval"], ["doctor"], ["show"], ["view"], ["export"], ["sft"]),
        *(["report"], ["verify"], ["predictor"], ["lab"]),
        *(["lab", name] for name in ("questions", "segments", "train", "study")),
        *(["predictor", name] for name in ("annotate", "train", "evaluate")),
    ],
)
def test_help_imports_nothing_heavy(command):
    code = (
        "import sys\nfrom tessy.cli.main import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n"
        "    print('\\nimported', end.code, *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command, "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    _, code, *imported = done.stdout.splitlines()[-1].split()
    assert code == "0"
    assert "Usage" in done.stdout
    assert "tessy" in imported
    typers_own = {"pydantic"} if command else set()  # typer's, for the types of options
    assert not set(imported) & set(HEAVY) - typers_own
