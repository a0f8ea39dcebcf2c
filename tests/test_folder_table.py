"""A table from a folder of pictures: the same folder, the same table; nothing is guessed in silence."""

import hashlib
import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

import rowlock as rl
from rowlock.cli import app
from rowlock.errors import ConfigError, SourceError, SourceNotFoundError
from rowlock.folders import table_from_folder
from rowlock.folders.naming import keys_of, labels_of
from rowlock.pictures.decode import decode
from rowlock.pictures.sizes import picture_size_of

WIDE = {"COLUMNS": "200"}


def picture(path, size=(8, 6), colour=(200, 10, 10)):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, "JPEG")


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "photos"
    for name in ("dog.1.jpg", "cat.10.jpg", "cat.2.jpg", "dog.0.jpg"):
        picture(str(place / name))
    return place


def run(*arguments, env=WIDE):
    return CliRunner().invoke(app, ["table", *map(str, arguments)], env=env)


def test_rows_are_sorted_with_readable_keys_relative_paths_and_classes_by_name(folder):
    made = table_from_folder(folder)
    assert made.rows.to_pydict() == {
        "key": ["cat.10", "cat.2", "dog.0", "dog.1"],
        "path": ["cat.10.jpg", "cat.2.jpg", "dog.0.jpg", "dog.1.jpg"],
        "label": ["cat", "cat", "dog", "dog"],
    }
    assert (made.folder, made.key, made.ignored) == (str(folder), "key", [])


def test_one_folder_a_class_gives_the_folders_names(tmp_path):
    for name in ("cat/a.jpg", "cat/b.jpg", "dog/a.jpg", "dog/deep/c.jpg"):
        picture(str(tmp_path / "p" / name))
    made = table_from_folder(tmp_path / "p")
    assert made.rows["key"].to_pylist() == ["cat/a", "cat/b", "dog/a", "dog/deep/c"]
    assert labels_of([b"cat/a.jpg", b"dog/a.jpg"], "folder")[0] == ["cat", "dog"]
    assert made.rows["label"].to_pylist() == ["cat", "cat", "dog", "deep"]


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["cat_001.jpg", "cat_002.jpg", "dog-1.jpg", "dog-2.jpg"], ["cat", "cat", "dog", "dog"]),
        (["house (1).png", "house (2).png", "tree7.png", "tree8.png"], ["house", "house", "tree", "tree"]),
        (["1.jpg", "2.jpg", "3.jpg"], None),
        (["IMG_1.jpg", "IMG_2.jpg"], None),
        (["anna.jpg", "bob.jpg", "carl.jpg", "dora.jpg"], None),
        (["é.1.jpg", "é.2.jpg", "ü.1.jpg", "ü.2.jpg"], ["é", "é", "ü", "ü"]),
    ],
)
def test_classes_are_found_by_name_only_where_names_look_like_classes(names, labels):
    assert labels_of([name.encode() for name in names], "auto")[0] == labels


def test_a_picture_without_a_class_by_the_way_asked_for_is_refused():
    with pytest.raises(ConfigError, match="'1.jpg' has no class by the start of its name"):
        labels_of([b"cat.1.jpg", b"1.jpg"], "name")
    with pytest.raises(ConfigError, match="no class by its folder"):
        labels_of([b"a/1.jpg", b"1.jpg"], "folder")


def test_keys_are_different_also_where_only_the_extension_tells():
    assert keys_of([b"a.jpg", b"a.png", b"b.jpg"]) == ["a.jpg", "a.png", "b"]
    assert len(set(keys_of([b"a.jpg.jpg", b"a.jpg", b"a.png", b"a.jpg.png"]))) == 4
    odd = keys_of([b"\xff.jpg", b"\\xff.jpg", b"with space.jpg", b"new\nline.jpg"])
    assert len(set(odd)) == 4
    assert odd[2:] == ["with space", "new\nline"]


def test_odd_file_names_become_rows_that_can_be_read(tmp_path):
    place = tmp_path / "p"
    for name in (b"a b.jpg", b"new\nline.jpg", b"caf\xe9.jpg", "日本.jpg".encode()):
        picture(place / os.fsdecode(name))
    made = table_from_folder(place, labels="none")
    assert made.rows.schema.field("path").type == pa.binary()
    data = rl.Dataset(made.rows, {"image": rl.Images("path", size=(4, 4), root=place)}, key="key")
    batch = data.gather(data.select(range(4)).batches(4, shuffle=False).plan.rows(0))
    assert batch.inputs["image"].shape == (4, 4, 4, 3)
    assert batch.inputs["image"][:, 0, 0, 0].min() > 150
    out = tmp_path / "t.parquet"
    assert run(place, out, "--labels", "none").exit_code == 0
    assert pq.read_table(out)["path"].to_pylist() == made.rows["path"].to_pylist()


def test_what_is_passed_over_is_counted_with_its_reason(folder):
    (folder / "notes.txt").write_text("x")
    (folder / "README").write_text("x")
    (folder / "empty.jpg").touch()
    (folder / "._cat.2.jpg").write_text("x")
    (folder / "gone.jpg").symlink_to(folder / "nothing")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.jpg")
    made = table_from_folder(folder)
    assert made.rows.num_rows == 4
    reasons = {why: (count, first) for why, count, first in made.ignored}
    assert reasons["not called as a picture is (.txt)"] == (1, ["notes.txt"])
    assert reasons["not called as a picture is (no extension)"] == (1, ["README"])
    assert reasons["empty (0 bytes)"] == (1, ["empty.jpg"])
    assert reasons["hidden (its name starts with a dot)"] == (1, ["._cat.2.jpg"])
    assert reasons["a link to nothing"] == (1, ["gone.jpg"])
    assert reasons["a folder that a link leads to once more"] == (1, ["loop"])
    assert reasons["no regular file"] == (1, ["pipe.jpg"])
    told = run(folder, folder.parent / "t.parquet").output
    assert "empty.jpg" in told
    assert "notes.txt" in told


def test_of_many_reasons_the_first_few_are_shown(folder, tmp_path):
    for number in range(30):
        (folder / f"a.{'x' * number}{number}").touch()
    output = run(folder, tmp_path / "t.parquet").output
    assert "18 more, for 18 other reasons" in output
    assert len(output.splitlines()) < 25


def test_sizes_and_hashes_are_those_of_the_files(folder):
    made = table_from_folder(folder, sizes=True, hashes=True)
    row = made.rows.slice(1, 1).to_pylist()[0]
    data = (folder / "cat.2.jpg").read_bytes()
    assert (row["height"], row["width"], row["num_bytes"]) == (6, 8, len(data))
    assert row["path_hash"] == "blake2b-128:" + hashlib.blake2b(data, digest_size=16).hexdigest()


def test_hashes_are_what_images_verify(folder):
    made = table_from_folder(folder, hashes=True)
    images = rl.Images("path", size=(4, 4), root=folder, verify="hash")
    data = rl.Dataset(made.rows, {"image": images}, key="key")
    assert len(data.gather(np.arange(4))) == 4
    picture(folder / "cat.2.jpg", colour=(1, 2, 3))
    with pytest.raises(rl.errors.RowError, match="cat.2"):
        data.gather(np.arange(4))


def test_sizes_are_those_that_a_viewer_shows(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a.jpg", "a.webp", "b.png"):
        (tmp_path / "p").mkdir(exist_ok=True)
        Image.new("RGB", (30, 20)).save(tmp_path / "p" / name, exif=exif)
    made = table_from_folder(tmp_path / "p", labels="none", sizes=True)
    assert set(zip(made.rows["height"].to_pylist(), made.rows["width"].to_pylist(), strict=True)) == {(30, 20)}


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "gif", "bmp", "tiff", "avif", "heif"])
def test_the_size_in_a_header_is_that_of_the_decoded_pixels(kind, orientation):
    if kind == "heif":
        pytest.importorskip("pillow_heif").register_heif_opener()
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    options = {} if kind in {"gif", "bmp"} else {"exif": exif}
    Image.new("RGB", (64, 40), (9, 99, 199)).save(file, kind, **options)
    data = file.getvalue()
    assert picture_size_of(data) == decode(data, 3, 10**6, (40, 64), "stretch").shape[:2]


def test_a_file_that_is_no_picture_is_left_out_where_headers_are_read(folder):
    (folder / "cat.3.jpg").write_text("<html>404</html>")
    assert table_from_folder(folder).rows.num_rows == 5
    made = table_from_folder(folder, sizes=True)
    assert made.rows.num_rows == 4
    assert any("HTML" in why for why, _, _ in made.ignored)


@pytest.mark.parametrize("written", ["{0}", "{0}.jpg", "photos/{0}.jpg", "photos/{0}"])
def test_a_listing_is_joined_however_it_writes_the_names(folder, tmp_path, written):
    names = ["dog.1", "cat.2", "lost"]
    wanted = [written.format(name).removeprefix("photos/") for name in names]
    listing = pa.table({"id": [7, 8, 9], "file": wanted, "weight": [1.5, 2.5, 3.5]})
    made = table_from_folder(folder, listing=listing, key="id")
    assert made.rows["id"].to_pylist() == [8, 7]
    assert made.rows["weight"].to_pylist() == [2.5, 1.5]
    assert made.rows.column_names == ["path", "id", "weight"]
    assert any("lost" in note for note in made.notes)
    assert [(count, first) for why, count, first in made.ignored if "not in column 'file'" in why] == [
        (2, ["cat.10.jpg", "dog.0.jpg"])
    ]


def test_a_listing_stays_beside_its_pictures_where_some_cannot_be_read(folder):
    (folder / "cat.2.jpg").write_bytes(b"nothing")
    listing = pa.table({"file": ["dog.1.jpg", "cat.2.jpg", "cat.10.jpg"], "n": [1, 2, 3]})
    made = table_from_folder(folder, listing=listing, sizes=True)
    assert dict(zip(made.rows["key"].to_pylist(), made.rows["n"].to_pylist(), strict=True)) == {"cat.10": 3, "dog.1": 1}


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"file": ["dog.1.jpg", "dog.1.jpg"]}, {}, "more than once"),
        ({"file": ["nothing.jpg"]}, {}, "names a picture"),
        ({"file": ["dog.1.jpg"], "key": [1]}, {}, "with other values: key. key: say --key key"),
        ({"file": ["dog.1.jpg"], "path": ["old/1.jpg"]}, {}, "path: say --csv-file path .* or rename it"),
        ({"key": ["dog.1"], "n": [1]}, {"key": "kye"}, "its columns are .'key', 'n'.. Did you mean 'key'"),
        ({"file": ["dog.1.jpg"], "id": [1]}, {"key": "idd"}, "no column 'idd'"),
        ({"file": ["dog.1.jpg"]}, {"listing_column": "fil"}, "Did you mean 'file'"),
    ],
)
def test_listings_that_do_not_fit_are_refused(folder, columns, options, message):
    with pytest.raises(ConfigError, match=message):
        table_from_folder(folder, listing=pa.table(columns), **options)


NAMED = [["key", "path"], ["path", "key"], ["key"], ["path"], ["key", "path", "file"]]


@pytest.mark.parametrize(("names", "key"), [(names, key) for names in NAMED for key in (None, *names)])
def test_a_listing_may_have_the_columns_that_the_table_makes(folder, names, key):
    values = {"key": ["dog.1", "cat.2"], "path": ["dog.1.jpg", "cat.2.jpg"], "file": ["dog.1.jpg", "cat.2.jpg"]}
    listing = pa.table({**{name: values[name] for name in names}, "n": [1, 2]})
    made = table_from_folder(folder, listing=listing, key=key)
    assert made.rows["path"].to_pylist() == ["cat.2.jpg", "dog.1.jpg"]
    assert made.rows["n"].to_pylist() == [2, 1]
    if key != "path" or "key" in names:
        assert made.rows["key"].to_pylist() == ["cat.2", "dog.1"]
    assert made.key == (key or "key")


def test_keys_of_a_listing_that_are_not_the_names_need_only_be_named(folder):
    listing = pa.table({"key": [7, 8], "path": ["dog.1.jpg", "cat.2.jpg"]})
    assert table_from_folder(folder, listing=listing, key="key").rows["key"].to_pylist() == [8, 7]


def test_a_name_that_fits_several_pictures_is_refused(tmp_path):
    for name in ("a/1.jpg", "b/1.jpg", "b/2.jpg"):
        picture(str(tmp_path / "p" / name))
    with pytest.raises(ConfigError, match="several pictures fit '1.jpg'"):
        table_from_folder(tmp_path / "p", listing=pa.table({"file": ["1.jpg", "2.jpg"]}))


def test_the_command_writes_a_table_that_says_where_its_pictures_are(folder, tmp_path):
    out = tmp_path / "t.parquet"
    result = run(folder, out)
    assert result.exit_code == 0, result.output
    for text in ("4 rows", "key, path, label", "cat 2, dog 2", str(folder), "rowlock check"):
        assert text in result.output
    assert pq.read_table(out).schema.metadata[b"rowlock.root"] == os.fsencode(folder)
    sheet = CliRunner().invoke(app, ["look", str(out), "--image", "path", "-o", str(tmp_path / "s.png")])
    assert sheet.exit_code == 0, sheet.output


def test_a_folder_that_was_moved_is_asked_for(folder, tmp_path):
    assert run(folder, tmp_path / "t.parquet").exit_code == 0
    moved = folder.rename(tmp_path / "moved")
    arguments = ["look", str(tmp_path / "t.parquet"), "--image", "path", "-o", str(tmp_path / "s.png")]
    lost = CliRunner().invoke(app, arguments, env=WIDE)
    assert lost.exit_code == 2
    assert "say --root DIR" in lost.output
    found = CliRunner().invoke(app, [*arguments, "--root", str(moved)], env=WIDE)
    assert found.exit_code == 0, found.output
    assert "cannot be read" not in found.output


def test_the_same_folder_gives_the_same_bytes(folder, tmp_path):
    for name in ("a.parquet", "b.parquet"):
        assert run(folder, tmp_path / name, "--hash", "--sizes").exit_code == 0
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_absolute_paths_need_no_root(folder, tmp_path):
    assert run(folder, tmp_path / "t.feather", "--absolute").exit_code == 0
    table = pa.ipc.open_file(tmp_path / "t.feather").read_all()
    assert table["path"].to_pylist()[0] == str(folder / "cat.10.jpg")
    assert not table.schema.metadata


def test_keys_of_a_csv_stay_text_where_they_are_written_so(folder, tmp_path):
    (tmp_path / "l.csv").write_text("id,file\n007,dog.1\n8,dog.0\n")
    assert run(folder, tmp_path / "t.parquet", "--csv", tmp_path / "l.csv", "--key", "id").exit_code == 0
    assert pq.read_table(tmp_path / "t.parquet")["id"].to_pylist() == ["8", "007"]


def test_nothing_is_overwritten_unasked(folder, tmp_path):
    out = tmp_path / "t.parquet"
    out.write_text("mine")
    result = run(folder, out)
    assert result.exit_code == 2
    assert "--overwrite" in result.output
    assert out.read_text() == "mine"
    assert run(folder, out, "--overwrite").exit_code == 0
    assert pq.read_table(out).num_rows == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "t.parquet"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nothing", "t.parquet"], 2, "no folder"),
        (["photos/cat.2.jpg", "t.parquet"], 2, "is not a folder"),
        (["none", "t.parquet"], 1, "no picture below"),
        (["photos", "t.txt"], 2, "should end in"),
        (["photos", "no/where/t.parquet"], 2, "there is no folder"),
        (["photos", "t.parquet", "--key", "id"], 2, "names a column of a listing"),
        (["photos", "t.parquet", "--csv-file", "id"], 2, "--csv"),
        (["photos", "t.parquet", "--csv", "no.csv"], 2, "nothing at no.csv"),
        (["photos", "t.parquet", "--labels", "wrong"], 2, "labels"),
        (["photos"], 2, "Missing argument"),
    ],
)
def test_misuse_is_explained_and_leaves_nothing(folder, tmp_path, monkeypatch, arguments, code, message):
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "a.txt").write_text("x")
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert message in " ".join(result.output.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["none", "photos"]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that nobody can write into")
def test_a_disk_that_refuses_is_a_line_and_no_traceback(folder):
    result = run(folder, "/proc/t.parquet")
    assert result.exit_code == 1
    assert "/proc/.t.parquet" in "".join(result.output.split())
    assert isinstance(result.exception, SystemExit)


def test_errors_have_their_types(tmp_path):
    with pytest.raises(SourceNotFoundError):
        table_from_folder(tmp_path / "nothing")
    with pytest.raises(SourceError, match="no picture below"):
        table_from_folder(tmp_path)
