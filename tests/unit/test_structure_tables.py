import pytest

from thalgpu.engine.pipelines.structure_tables import adjusted_volumes, complete, write_participants
from thalgpu.errors import InputError


def test_columns_of_a_few_are_dropped_and_people_without_those_of_most_are_named():
    rows = {"03": {"left": 3.0, "right": 3.0}, "01": {"left": 1.0, "right": 1.0, "odd": 9.0}, "02": {"left": 2.0}}
    table = complete(rows)
    assert table.columns == ("left", "right")
    assert list(table.rows) == ["01", "03"]
    assert table.lacking == {"02": "right"}
    assert table.dropped == ("odd",)


def test_nuclei_are_adjusted_with_the_whole_and_asymmetry_is_not():
    rows = {str(k): {"left": 10.0 + k, "right": 10.0, "MD_left": 2.0 + k} for k in range(4)}
    icv = {str(k): 100.0 + 10 * k for k in range(4)}
    table = adjusted_volumes(complete(rows), icv, "residual")
    assert table.columns == ("left", "right", "total", "asymmetry", "MD_left")
    assert [row["left"] for row in table.rows.values()] == pytest.approx([11.5] * 4)
    assert [row["MD_left"] for row in table.rows.values()] == pytest.approx([3.5] * 4)
    assert [row["asymmetry"] for row in table.rows.values()] == pytest.approx([2 * k / (20 + k) for k in range(4)])
    shares = adjusted_volumes(complete(rows), icv, "proportion").rows
    assert [row["total"] for row in shares.values()] == pytest.approx([(20 + k) / (100 + 10 * k) for k in range(4)])


def test_participants_keep_their_cells_and_get_icv_where_it_is_known(tmp_path):
    given = tmp_path / "participants.csv"
    given.write_text("participant_id,group,age\nsub-02,A,007\n01,,30\n")
    written = write_participants(tmp_path / "out.tsv", given, {"02": 1.5e6})
    assert written.read_text() == ("participant_id\tgroup\tage\ticv\nsub-02\tA\t007\t1500000\nsub-01\tn/a\t30\tn/a\n")
    with pytest.raises(InputError, match="has a column icv already"):
        write_participants(tmp_path / "again.tsv", written, {})
