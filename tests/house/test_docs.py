"""The documentation matches the code: a topic, table, column, module or task that is missing or misspelt fails here."""

import ast
import re
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from emulator.example_notifications import example
from intercom_api.wire.topics import HANDLED_TOPICS
from models.tables.all_tables import metadata
from models.tables.sql_views import views
from tests.house.documentation import CURRENT_PAGES, DOCS, PAGES, ROOT, code_in, own_text, page_id, table_rows
from tests.house.tables_page import PRIVATE_TABLES, PUBLIC_TABLES, VIEWS, pages
from workers.celery import app
from workers.runtime import redis_keys

PACKAGES = ("bench", "cli", "emulator", "intercom_api", "models", "settings", "tests", "webhooks", "workers")
TABLES_PAGE = DOCS / "tables.md"

# Tables that only the mirror itself reads; the rest is a contract with the application.
PRIVATE = set(PRIVATE_TABLES)

# What the record of a decision consists of.
ADR_SECTIONS = ("Context", "Decision", "Consequences", "Alternatives considered")


@pytest.mark.parametrize("topic", sorted(HANDLED_TOPICS))
def test_every_topic_has_a_line_and_an_example(topic: str) -> None:
    """Each mirrored topic is documented and can be tried out."""
    assert f"`{topic}`" in (DOCS / "topics.md").read_text()
    assert example(topic, 1_767_700_000)["topic"] == topic


@pytest.mark.parametrize("table", sorted(set(metadata.tables) - PRIVATE))
def test_every_table_and_column_is_described(table: str) -> None:
    """Each column is described under its table."""
    text = TABLES_PAGE.read_text()
    assert f"## `{table}`" in text, f"docs/tables.md has no section for {table}"
    section = text.split(f"## `{table}`")[1].split("\n## ")[0]
    missing = [column.name for column in metadata.tables[table].columns if f"`{column.name}`" not in section]
    assert missing == []


def test_every_table_is_public_or_private() -> None:
    """A new table gets a sentence on the page, as one or the other."""
    assert sorted([*PUBLIC_TABLES, *PRIVATE_TABLES]) == sorted(metadata.tables)


@pytest.mark.parametrize("view", sorted(views("postgresql")))
def test_every_view_is_described(view: str) -> None:
    """Views are documented too."""
    assert f"`{view}`" in TABLES_PAGE.read_text()


def test_every_column_of_the_views_is_described(sqlite_url: str) -> None:
    """The columns of a view are in its row of the table."""
    engine = create_engine(sqlite_url)
    for view, text in VIEWS.items():
        assert [each["name"] for each in inspect(engine).get_columns(view) if f"`{each['name']}`" not in text] == []
    engine.dispose()


@pytest.mark.parametrize("name", sorted(PRIVATE))
def test_private_tables_are_listed_as_private(name: str) -> None:
    """A reader of the database finds out which tables not to rely on."""
    assert f"`{name}`" in TABLES_PAGE.read_text()


@pytest.mark.parametrize(("page", "rendering"), [pytest.param(*each, id=each[0].name) for each in pages()])
def test_generated_pages_are_up_to_date(page: Path, rendering: str) -> None:
    """If this fails, run `python -m tests.house.tables_page` and commit the pages."""
    assert page.read_text() == rendering


def test_read_only_grants_every_table_of_the_contract() -> None:
    """The application's role can read every public table, and no private one."""
    text = (DOCS / "read_only.sql").read_text()
    granted = {name for name in (*metadata.tables, *views("postgresql")) if f" {name}" in text.replace(",", "")}
    assert granted == (set(metadata.tables) - PRIVATE) | set(views("postgresql"))


@pytest.mark.parametrize("page", CURRENT_PAGES, ids=page_id)
def test_every_dotted_name_exists(page: Path) -> None:
    """`workers.inbox.drain` is a module, a name that a module defines at its top level, or the name of a task."""
    app.loader.import_default_modules()
    pattern = rf"(?<![\w./@:-])(?:{'|'.join(PACKAGES)})(?:\.[a-zA-Z_]\w*)+"
    names = {name for code in code_in(page) for name in re.findall(pattern, code)}
    assert (
        sorted(
            name
            for name in names
            if not _is_setting_of_workflows(name) and name not in app.tasks and not _is_defined(name)
        )
        == []
    )


def _is_setting_of_workflows(name: str) -> bool:
    """Templates of workflows name their settings in the same way."""
    return name in {"settings.app_url", "settings.app_key"}


def _is_defined(name: str) -> bool:
    """Return whether a dotted name is a module or a name in one; methods and fields are not followed."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:length])
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if file.exists() or path.is_dir():
            return length == len(parts) or (file.exists() and parts[length] in _top_level_names(file))
    return False


def _top_level_names(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}
    return names


@pytest.mark.parametrize("page", CURRENT_PAGES, ids=page_id)
def test_every_path_exists(page: Path) -> None:
    """`tests/unit` and `workers/celery.py` exist; paths under var/ are made at run time."""
    pattern = rf"(?:{'|'.join(PACKAGES)}|docs)/[\w./-]*"
    paths = [code for code in code_in(page) if re.fullmatch(pattern, code)]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_task_is_described() -> None:
    """docs/data-flow.md has all Celery tasks with their queues, and no others."""
    app.loader.import_default_modules()
    default = app.conf.task_default_queue
    tasks = {name for name in app.tasks if name.startswith("workers.")}
    queues = {name: app.conf.task_routes.get(name, {"queue": default})["queue"] for name in tasks}
    rows = table_rows(DOCS / "data-flow.md", "Celery queues")
    described = {task: queue for queue, cells in rows.items() for task in re.findall(r"`([\w.]+)`", cells[0])}
    assert described == queues


def test_every_redis_key_is_described() -> None:
    """docs/data-flow.md has every key of Redis."""
    keys = {value for value in vars(redis_keys).values() if isinstance(value, str) and value.startswith("intercom-")}
    assert keys
    assert {key for key in keys if f"`{key}`" not in (DOCS / "data-flow.md").read_text()} == set()


def test_every_table_is_in_the_diagram() -> None:
    """The diagram of docs/data-flow.md has every table."""
    diagram = (DOCS / "data-flow.md").read_text().split("```mermaid")[1].split("```")[0]
    assert {name for name in metadata.tables if not re.search(rf"\b{name}\b", diagram)} == set()


def test_every_process_is_described() -> None:
    """docs/data-flow.md has the processes of the Procfile, and no others."""
    lines = (ROOT / "Procfile").read_text().splitlines()
    processes = {line.partition(":")[0] for line in lines if line and not line.startswith("#")} - {"release"}
    assert set(table_rows(DOCS / "data-flow.md", "Processes")) == processes


def test_every_page_is_in_the_index() -> None:
    """docs/index.md says for whom each page is."""
    index = (DOCS / "index.md").read_text()
    listed = DOCS.rglob("*.md")
    assert [
        page for page in listed if f"({page.relative_to(DOCS).as_posix()})" not in index and page.stem != "index"
    ] == []


def test_every_glossary_term_is_used() -> None:
    """A term that neither a page nor the code uses is not a term of the project."""
    terms = re.findall(r"^\| \*\*(.+?)\*\* \|", (DOCS / "glossary.md").read_text(), re.MULTILINE)
    assert terms
    modules = [path for package in PACKAGES if package != "tests" for path in (ROOT / package).rglob("*.py")]
    texts = [own_text(page) for page in PAGES if page.stem != "glossary"] + [path.read_text() for path in modules]
    words = "\n".join(texts).lower()
    assert [term for term in terms if not re.search(rf"\b{re.escape(term)}", words)] == []


@pytest.mark.parametrize("page", sorted((DOCS / "adr").glob("*.md")), ids=page_id)
def test_every_decision_record_has_its_parts(page: Path) -> None:
    """Context, decision, reasons, consequences and alternatives, in a page that is read in two minutes."""
    headings = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
    assert [heading for heading in headings if "easons" not in heading] == list(ADR_SECTIONS)
    assert len(headings) == len(ADR_SECTIONS) + 1
