import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.experts.files import LocalFiles, clean_name, profile
from pointsman.router.errors import BadFile, UnknownFile
from pointsman.router.values import FileProfile, FileRef


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "files")


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def test_a_file_comes_back_as_it_was_stored(files: LocalFiles) -> None:
    ref = files.create("notes/ä ö.txt", "text/plain", b"hello")
    assert (ref.name, ref.size, ref.media_type) == ("notes/ä ö.txt", 5, "text/plain")
    assert files.path(ref).read_bytes() == files.path(ref.id).read_bytes() == b"hello"
    assert files.ref(ref.id) == ref
    assert LocalFiles(files.folder).list() == (ref,)


def test_an_adopted_file_is_moved(files: LocalFiles, tmp_path: Path) -> None:
    source = tmp_path / "made.bin"
    source.write_bytes(b"abc")
    ref = files.adopt("made.bin", "application/octet-stream", source)
    assert not source.exists()
    assert files.path(ref).read_bytes() == b"abc"


def test_a_deleted_file_is_gone(files: LocalFiles) -> None:
    ref = files.create("a.txt", "text/plain", b"x")
    files.delete(ref.id)
    assert files.list() == ()
    with pytest.raises(UnknownFile):
        files.path(ref)
    with pytest.raises(UnknownFile):
        files.delete(ref.id)


@pytest.mark.parametrize("id", ["", "..", "../x", "a/b", "\x00", "x" * 65, "nothing"])
def test_an_id_never_leads_out_of_the_store(files: LocalFiles, id: str) -> None:
    with pytest.raises(UnknownFile):
        files.path(id)


def test_an_upload_is_stored_as_it_comes_in(files: LocalFiles) -> None:
    ref = asyncio.run(files.save_stream("up.csv", pieces(b"a,b\n", b"1,2\n")))
    assert files.path(ref).read_bytes() == b"a,b\n1,2\n"
    assert ref.media_type == "text/csv"


def test_an_upload_over_the_limit_leaves_nothing(files: LocalFiles) -> None:
    with pytest.raises(BadFile, match="limit"):
        asyncio.run(files.save_stream("up.csv", pieces(b"12345", b"67890"), limit=9))
    assert list(files.folder.iterdir()) == []


def test_an_upload_that_breaks_off_leaves_nothing(files: LocalFiles) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"begun"
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        asyncio.run(files.save_stream("up.csv", broken()))
    assert list(files.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "etc/passwd"),
        ("C:\\Users\\a\\b.csv", "Users/a/b.csv"),
        ("/abs/a.txt", "abs/a.txt"),
        ("a\x00b\n.txt", "ab.txt"),
        ("", "file"),
        ("..", "file"),
        ("bericht\u202egpj.exe", "berichtgpj.exe"),
        ("报告.csv", "报告.csv"),
    ],
)
def test_names_are_made_safe(given: str, kept: str) -> None:
    assert clean_name(given) == kept


@given(st.text(max_size=400))
def test_any_name_becomes_a_safe_one(name: str) -> None:
    kept = clean_name(name)
    parts = kept.split("/")
    assert kept
    assert all(p not in ("", ".", "..") and len(p.encode()) <= 255 for p in parts)
    assert "\\" not in kept
    assert kept.isprintable() or " " in kept or "\xa0" in kept or not kept.isascii()
    assert clean_name(kept) == kept


def test_a_hidden_name_does_not_hit_the_record(files: LocalFiles) -> None:
    ref = files.create(".file.json", "application/json", b"{}")
    assert files.ref(ref.id).name == ".file.json"
    assert files.path(ref).read_bytes() == b"{}"


def described(files: LocalFiles, name: str, content: bytes) -> FileProfile:
    made = profile(files.create(name, "", content), files)
    assert FileProfile.from_json(made.to_json()) == made
    return made


def test_a_profile_tells_columns_types_and_all_values_of_few(files: LocalFiles) -> None:
    lines = [f"{i},{'red' if i % 2 else 'blue'},{i}.50" for i in range(120)]
    made = described(files, "c.csv", ("id,color,price\n" + "\n".join(lines)).encode())
    assert made.shape == "table"
    assert [(c.name, c.type) for c in made.columns] == [
        ("id", "integer"),
        ("color", "text"),
        ("price", "number"),
    ]
    assert made.row_count == 120
    assert made.complete == ("color",)
    assert made.samples is not None
    assert made.samples["color"] == ("blue", "red")
    assert len(made.samples["id"]) == 50


def test_a_large_table_is_profiled_to_its_end(
    files: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pointsman.experts.profiles.LARGE", 1_000)
    lines = [f"{i},{'late' if i > 104_000 else 'early'}" for i in range(105_000)]
    made = described(files, "c.csv", ("id,when\n" + "\n".join(lines)).encode())
    assert made.row_count == 105_000
    assert made.samples is not None
    assert made.samples["when"] == ("early", "late")
    assert made.complete == ("when",)


def test_a_text_has_its_opening_and_a_txt_that_is_a_table_is_one(files: LocalFiles) -> None:
    prose = described(files, "a.txt", b"Dear all, thanks.\nIt was good, really.\n" * 100)
    assert prose.shape == "text"
    assert prose.opening is not None
    assert len(prose.opening) == 1_000
    table = described(files, "b.txt", b"name;age\nAda;36\nAlan;41\n")
    assert [c.name for c in table.columns] == ["name", "age"]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.csv", b"", "empty"),
        ("a.csv", b" \n\n", "empty"),
        ("a.csv", bytes(range(256)) * 20, "binary"),
        ("a.json", b'{"a": [1,', "JSON"),
        ("a.json", b"[" * 100_000, "JSON"),
        ("a.parquet", b"PAR1 is not all of it", "Parquet"),
        ("a.xlsx", b"PK\x03\x04 damaged", "archive"),
        ("a.csv.gz", b"\x1f\x8b\x08rest", "unpack"),
    ],
)
def test_what_cannot_be_read_says_why(
    files: LocalFiles, name: str, content: bytes, why: str
) -> None:
    made = described(files, name, content)
    assert made.error is not None
    assert why in made.error


def test_sheets_are_named(files: LocalFiles, tmp_path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    book.active.append(["a", "b"])
    book.active.append([1, "x"])
    book.create_sheet("Second")
    book.save(tmp_path / "b.xlsx")
    made = described(files, "b.xlsx", (tmp_path / "b.xlsx").read_bytes())
    assert made.sheets == ("Sheet", "Second")
    assert [c.type for c in made.columns] == ["integer", "text"]


def test_an_unknown_file_has_no_profile(files: LocalFiles) -> None:
    with pytest.raises(UnknownFile):
        profile(FileRef("nothing", "a.csv", "text/csv", 1), files)  # type: ignore[arg-type]
