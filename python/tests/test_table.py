"""Tables."""

import pytest

import classify_video
from conftest import FAST

pyarrow = pytest.importorskip("pyarrow")


def test_rows_are_the_commands_and_a_broken_one_has_its_reason(model, samples, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video" * 100)
    table = pyarrow.table({"id": [1, 2, 3, 4], "path": [samples[0], str(broken), None, samples[1]]})
    answer = model.label(table)
    assert answer.column_names[:2] == ["id", "path"] and answer["id"].to_pylist() == [1, 2, 3, 4]
    assert answer.schema.field("score").type == pyarrow.float64()
    rows = answer.to_pylist()
    for row, clip in [(rows[0], samples[0]), (rows[3], samples[1])]:
        told = model.classify(clip).to_dict()
        assert row["label"] == told["labels"][0]["label"] and row["score"] == told["labels"][0]["score"]
        assert [{**one, "above": None} for one in told["labels"]] == row["labels"] and row["duration_s"] == told["duration_s"]
        assert row["model"] == FAST and row["confident"] == told.get("confident") and row["error"] is None
    for row in rows[1:3]:
        assert row["error"] and row["label"] is None and row["labels"] is None


def test_several_labels_are_one_cell_and_none_an_empty_one(several, samples):
    table = pyarrow.table({"path": samples[:1]})
    every, none = (classify_video.Model(several, threshold=least).label(table).to_pylist()[0] for least in [0, 1])
    names = [one["label"] for one in every["labels"]]
    assert len(names) == 14 and every["label"] == "|".join(sorted(names))
    assert every["score"] == min(one["score"] for one in every["labels"])
    assert none["label"] is None and none["score"] is None and none["error"] is None
    assert [one["above"] for one in none["labels"]] == [False] * 5


def test_clips_are_taken_from_the_column_bytes(model, samples):
    content = open(samples[0], "rb").read()
    for kind in [pyarrow.binary(), pyarrow.large_binary()]:
        data = pyarrow.array([content, b"broken", None], kind)
        table = pyarrow.table({"path": ["a.mp4", "b.mp4", samples[0]], "bytes": data})
        rows = model.label(table).to_pylist()
        assert "bytes" not in rows[0]
        assert rows[0]["labels"] == rows[2]["labels"] and rows[1]["error"] and rows[1]["path"] == "b.mp4"


def test_tables_of_no_rows_and_of_several_chunks(model, samples):
    empty = pyarrow.table({"path": pyarrow.array([], pyarrow.string())})
    answer = model.label(empty)
    assert answer.num_rows == 0 and "error" in answer.column_names
    part = pyarrow.table({"path": samples})
    both = pyarrow.concat_tables([part, part])
    assert model.label(both)["label"].to_pylist() == 2 * model.label(part)["label"].to_pylist()


def test_tables_that_cannot_be_labelled(model):
    with pytest.raises(classify_video.UsageError, match="no column 'path'"):
        model.label(pyarrow.table({"file": ["a"]}))
    with pytest.raises(classify_video.UsageError, match="'label'"):
        model.label(pyarrow.table({"path": ["a"], "label": ["b"]}))
