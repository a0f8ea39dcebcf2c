"""Imports at module level go one way only: each layer may see those before it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rowlock

SOURCE = Path(rowlock.__file__).parent
LAYERS = [
    "errors",
    "arrays",
    "arguments backend memory meter processors",
    "blocks locks private_folder retries text_offsets",
    "join_kernels key_kernels permutation_kernel split_kernel",
    "text_array",
    "key_values",
    "keys permutation",
    "list_columns near_keys orders store.disk store.progress",
    "store.commit",
    "store.given store.index store.layouts store.statistics",
    "store.reading store.writing",
    "store.changing",
    "store",
    "inputs.finite pictures",
    "codes picture_cache remote",
    "sources",
    "tables",
    "table",
    "inputs.access inputs.base inputs.image_arguments inputs.key_join inputs.number_lists inputs.piece_cache",
    "inputs.foreign inputs.list_mask inputs.tokens",
    "inputs.matrices inputs.scaling inputs.scaling_kernels",
    "inputs.categories inputs.images_reader inputs.joining inputs.scaled",
    "inputs.mixed inputs.numbers",
    "inputs.columns inputs.features inputs.images inputs.images_mask inputs.tokens_mask",
    "inputs",
    "bad_rows batch",
    "fingerprints fitting gathering masks plan roles sampling selection split",
    "run_state split_table",
    "meanings",
    "dataset_facts dataset_views",
    "dataset_parts",
    "dataset",
    "jobs",
    "pool",
    "advice engine",
    "epoch loader_forms state stats",
    "delivery epoch_log making",
    "hashing loader packing",
    "handover progress",
    "keras torch jax tensorflow ray",
    "__init__",
    "demo folders machine notes selftest store_report training",
    "checking looking showing",
    "benching reporting",
    "cli",
    "__main__",
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer.split()}


def layer_of(module):
    """The longest listed name that holds the module."""
    parts = module.removeprefix("rowlock").removeprefix(".").split(".")
    while parts and ".".join(parts) not in RANK:
        parts.pop()
    return ".".join(parts) or "__init__"


def module_of(path):
    name = path.relative_to(SOURCE).with_suffix("").as_posix().replace("/", ".")
    return name.removesuffix(".__init__")


def imports_at_module_level(tree):
    for node in tree.body:
        if isinstance(node, ast.If):  # if TYPE_CHECKING
            continue
        for inner in ast.walk(node) if isinstance(node, ast.Try) else [node]:
            if isinstance(inner, ast.Import):
                yield from (alias.name for alias in inner.names)
            elif isinstance(inner, ast.ImportFrom) and inner.module:
                yield from (f"{inner.module}.{alias.name}" for alias in inner.names)


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=module_of)
def test_imports_go_one_way(path):
    own = module_of(path)
    assert layer_of(f"rowlock.{own}") in RANK, f"{own} has no place in LAYERS"
    for imported in imports_at_module_level(ast.parse(path.read_text())):
        if imported.split(".")[0] != "rowlock":
            continue
        mine, its = layer_of(f"rowlock.{own}"), layer_of(imported)
        assert RANK[its] < RANK[mine] or its == mine, f"{own} imports {imported}, which is not below it"


ROOMS = sorted(folder.parent for folder in SOURCE.glob("store/*/__init__.py"))


def imports_anywhere(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "an import that does not say from where"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_a_room_of_the_store_says_which_others_it_imports_for_types_and_in_functions_too(room):
    imported = [name for path in room.rglob("*.py") for name in imports_anywhere(ast.parse(path.read_text()))]
    of_store = {name.split(".")[2] for name in imported if name.startswith("rowlock.store.")} - {room.name}
    said = ast.get_docstring(ast.parse((room / "__init__.py").read_text())).splitlines()[-1]
    assert said == f"Imports {', '.join(sorted(of_store)) or 'no other room'}."
    assert all(RANK[f"store.{other}"] < RANK[f"store.{room.name}"] for other in of_store)


def test_files_of_the_store_outside_of_its_rooms_are_what_users_call():
    names = {path.stem for path in SOURCE.glob("store/*.py")}
    assert names == {"__init__", "commit_facts", "feature_store", "mending", "progress", "row_reading"}


def test_importing_rowlock_loads_no_framework_and_no_compiler():
    code = (
        "import sys, rowlock;"
        "print([m for m in ('keras','torch','jax','tensorflow','ray','numba','tensorstore','blosc2',"
        "'h5py','pyarrow.parquet','PIL','pandas','polars',"
        "'scipy','matplotlib','simplejpeg','typer','urllib3','obstore') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    assert found.stdout.strip() == "[]"


def test_importing_rowlock_takes_less_than_half_a_second_of_processor_time():
    code = "import time; t = time.process_time(); import rowlock; print(time.process_time() - t)"
    seconds = []
    while min(seconds, default=1.0) >= 0.5 and len(seconds) < 12:  # others use the same caches of the processor
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        seconds.append(float(done.stdout))
    assert min(seconds) < 0.5, seconds
