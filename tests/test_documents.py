import asyncio
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pointsman.experts.base import Call
from pointsman.experts.files import LocalFiles
from pointsman.experts.profiles import profile
from pointsman.experts.tools.documents import read
from pointsman.router.errors import BadArguments, BadFile


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "files")


def texts(files: LocalFiles, by: str = "document", **contents: bytes) -> Any:
    refs = [files.create(n.replace("__", "."), "", c).to_json() for n, c in contents.items()]
    return asyncio.run(read.run(Call("text.read", {"files": refs, "by": by}, files, 0.0)))


def word(text: str) -> bytes:
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("word/document.xml", f'<w:document xmlns:w="{space}">{text}</w:document>')
    return packed.getvalue()


def test_each_document_is_a_row(files: LocalFiles) -> None:
    done = texts(files, a__md="# Title\r\n\nText ä".encode(), b__txt="Größe".encode("cp1252"))
    assert done.value["rows"] == [["a.md", "# Title\n\nText ä"], ["b.txt", "Größe"]]
    assert done.note == "2 documents, 5 words"


def test_html_loses_its_markup(files: LocalFiles) -> None:
    page = b"<html><head><title>T</title><style>x{}</style></head><body><h1>A &amp; B</h1>"
    page += (
        b"<p>one <b>two</b></p><script>alert(1)</script><ul><li>three<li>four</ul></body></html>"
    )
    assert texts(files, a__html=page).value["rows"][0][1].split() == [
        "A",
        "&",
        "B",
        "one",
        "two",
        "three",
        "four",
    ]


def test_a_word_document_has_its_paragraphs(files: LocalFiles) -> None:
    body = (
        "<w:p><w:r><w:t>One</w:t></w:r><w:r><w:t> two</w:t></w:r></w:p><w:p><w:t>Three</w:t></w:p>"
    )
    assert texts(files, a__docx=word(body)).value["rows"] == [["a.docx", "One two\nThree"]]


def test_entities_in_a_word_document_are_not_expanded(files: LocalFiles) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("word/document.xml", '<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>')
    with pytest.raises(BadFile, match="document type"):
        texts(files, a__docx=packed.getvalue())


def test_what_cannot_be_read_is_left_out_and_said(files: LocalFiles) -> None:
    done = texts(files, a__txt=b"fine", b__txt=b"")
    assert done.value["row_count"] == 1
    assert "b.txt" in done.note
    with pytest.raises(BadFile, match="empty"):
        texts(files, b__txt=b"")
    with pytest.raises(BadArguments, match="at least one"):
        texts(files)


LIST = b"- It broke after three days. Very sad.\n\n- 2) stays\n* last"


def test_a_list_is_read_an_item_a_row(files: LocalFiles) -> None:
    done = texts(files, "line", a__txt=LIST)
    assert [c["name"] for c in done.value["columns"]] == ["line", "text"]
    assert done.value["rows"] == [
        [1, "It broke after three days. Very sad."],
        [2, "2) stays"],
        [3, "last"],
    ]
    assert done.note is not None
    assert done.note.endswith(" words, 3 lines")


def test_parts_of_several_documents_carry_their_files(files: LocalFiles) -> None:
    done = texts(files, "sentence", a__txt=b"One is here. Two is there.", b__txt=b"Three came.")
    assert done.value["rows"] == [
        ["a.txt", 1, "One is here."],
        ["a.txt", 2, "Two is there."],
        ["b.txt", 1, "Three came."],
    ]
    assert texts(files, "paragraph", a__txt=b"A b\nc.\n\nD.").value["rows"] == [
        [1, "A b\nc."],
        [2, "D."],
    ]


def test_a_text_of_lines_is_known_as_a_list(files: LocalFiles) -> None:
    listed = profile(files.create("a.txt", "", LIST), files)
    assert listed.listed
    assert listed.samples == {"text": ("It broke after three days. Very sad.", "2) stays", "last")}
    assert not profile(
        files.create("b.txt", "", b"One text.\n\nOf paragraphs, in all two."), files
    ).listed
