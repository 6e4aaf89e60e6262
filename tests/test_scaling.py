"""Training in several processes: its values, its formulas, the cost model, and the page."""

import json

import numpy as np
import pytest

from experiments import results
from experiments.scaling import collectives, cost_model, page, predictions, report, schemes, values
from experiments.scaling.__main__ import main
from experiments.scaling.collectives import Traffic
from experiments.scaling.config import SCHEMES, SMOKE, Config
from experiments.scaling.cost_model import Constants, Costs


def test_a_small_run_has_the_values_of_one_device_and_the_traffic_of_the_formulas(tmp_path, capsys):
    """The command checks both and returns 1 if one of them is wrong."""
    assert main(["--smoke", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    record = json.loads((tmp_path / "results.json").read_text())
    compared, data_parallel, *_ = record["tables"]
    assert [row[:2] for row in compared["rows"]] == [
        [name, "2"] for name in ("data parallel", *SMOKE.schemes)
    ]
    assert all(float(row[3]) < 1e-12 for row in compared["rows"])
    assert float(data_parallel["rows"][1][1]) > 0
    assert {row["devices"] for row in record["measured"]} == {1, 2}
    assert all(row["sent"] == row["costs"][1:] for row in record["measured"])
    assert (tmp_path / "scaling.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--processes", "1"], "--processes is 1, expected at least 2"),
        (["--processes", "3"], "--batch-size is 32, expected a multiple of 3 for 3 processes"),
        (["--tokens", "1024", "12"], "--tokens is 12, expected a multiple of 8 for 4 processes"),
        (["--heads", "6"], "--heads is 6, expected a multiple of --key-value-heads=4"),
        (["--head-size", "3"], "--head-size is 3, expected an even number"),
    ],
)
def test_sizes_that_do_not_divide_are_refused(words, complaint, tmp_path, capsys):
    assert main([*words, "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"experiments.scaling: {complaint}\n"


def test_the_options_name_all_schemes():
    assert (*schemes.SCHEMES,) == SCHEMES


def test_values_that_differ_are_found():
    ones = {f"{{}}/{kind}": [1.0, -4.0] for kind in values.TOLERANCES}
    of = lambda name: {kind.format(name): array for kind, array in ones.items()}
    ring = {**of("ring"), "ring/gradient": [1.0, -4.0004]}
    found = {2: {**of("data parallel"), **ring}, 1: {**of("data parallel"), **of("one device")}}
    same, differs = values.compared(found, "one device")
    assert (same.is_within, differs.is_within) == (True, False)
    assert differs.differences["gradient"] == pytest.approx(1e-4)
    assert values.difference([np.nan], [1.0]) == values.difference([1.0, 1.0], [1.0]) == np.inf


PROGRAM = """\
HloModule jit_f, entry_computation_layout={(f32[4]{0})->f32[4]{0}}

%add (a: f32[], b: f32[]) -> f32[] {
  ROOT %sum = f32[] add(%a, %b)
}
%body.1 (state: (s32[], f32[3,2])) -> (s32[], f32[3,2]) {
  %moved.1 = bf16[3,2]{1,0} collective-permute(%x), source_target_pairs={{0,1},{1,0}}
}
%less (state: (s32[], f32[3,2])) -> pred[] {
}
%left (x: f32[2]) -> f32[2] {
  %all = f32[8]{0} all-gather(%x), dimensions={0}
}
%right (x: f32[2]) -> f32[2] {
}
%inner (x: f32[4]) -> f32[4] {
  %parts.1 = (f32[2]{0}, f32[2]{0}) all-to-all(%x, %y), replica_groups={{0,1,2,3}}
}
ENTRY %main.3 (x: f32[4]) -> f32[4] {
  %loop = s32[] while(%x), condition=%less, body=%body.1, config={"known_trip_count":{"n":"5"}}
  %chosen = f32[2] conditional(%p, %x, %x), branch_computations={%left, %right}
  %called = f32[4] call(%x), to_apply=%inner
  %total = f64[5]{0} all-reduce(%y), to_apply=%add
  ROOT %part = f32[2]{0} reduce-scatter(%z), dimensions={0}, to_apply=%add
}
"""


def test_traffic_is_counted_with_loops_and_calls():
    by_part = [(5 * 12, 5), (32 * 3 / 4, 3), (16 * 3 / 4, 3), (2 * 40 * 3 / 4, 6), (8 * 3, 3)]
    expected = tuple(map(sum, zip(*by_part, strict=True)))
    assert collectives.traffic(PROGRAM, 4) == expected
    assert collectives.traffic(PROGRAM, 1) == Traffic()
    for old, new, complaint in (
        (', config={"known_trip_count":{"n":"5"}}', "", "no known trip count"),
        ("all-to-all(", "ragged-all-to-all(", "ragged-all-to-all"),
        ("all-gather(", "all-gather-start(", "asynchronous"),
    ):
        with pytest.raises(ValueError, match=complaint):
            collectives.traffic(PROGRAM.replace(old, new), 4)


def test_traffic_that_is_not_that_of_the_formula_is_a_complaint():
    """Of attention and of the model's step, here 8 bytes of a loss more than there are."""
    layer, config = report.layer_of(SMOKE), SMOKE
    formula = schemes.costs(schemes.SCHEMES["ring"], 2, 16, layer)
    row = {"scheme": "ring", "devices": 2, "tokens": 16, "costs": formula}
    right = report.bytes_of_step("ring", 2, config, 100)
    runs = lambda size: {2: {"trainings": {"ring": {"sent": [size, 0], "parameter_bytes": 100}}}}
    sends = lambda size: [{**row, "sent": Traffic(size, formula.messages)}]
    assert report.disagreements(runs(right), sends(formula.bytes), config) == []
    wrong = report.disagreements(runs(right + 8), sends(formula.bytes + 8), config)
    assert [line.partition(": ")[0] for line in wrong] == [
        "ring, 2 devices, 16 tokens",
        "ring, 2 devices, language model",
    ]


def test_pairs_are_those_under_the_causal_mask():
    under_the_mask = np.tri(24)
    devices = 4
    rows = under_the_mask.sum(1)
    parts = rows.reshape(devices, -1).sum(1)
    np.testing.assert_array_equal(schemes.contiguous_pairs(devices, 24), parts)
    chunks = rows.reshape(2 * devices, -1).sum(1)
    np.testing.assert_array_equal(schemes.zigzag_pairs(devices, 24), (chunks + chunks[::-1])[:4])
    np.testing.assert_array_equal(schemes.equal_pairs(devices, 24), np.full(4, rows.sum() / 4))


def test_the_cost_model_finds_constants_that_made_the_times():
    constants = Constants(rate=3e10, bandwidth=2e9, latency=5e-4)
    rng = np.random.default_rng(0)
    steps = [Costs(*row) for row in rng.random((9, 3)) * [1e10, 1e8, 30]]
    times = [row[0] / 3e10 + row[1] / 2e9 + row[2] * 5e-4 for row in steps]
    assert [cost_model.seconds(step, constants) for step in steps] == pytest.approx(times)
    assert cost_model.fit(steps, times) == pytest.approx(constants)
    free = cost_model.fit(steps, [row.operations / 3e10 for row in steps])
    assert free.rate == pytest.approx(3e10)
    assert free.latency == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="fit: 2 steps have 2 times"):
        cost_model.fit(steps[:2], times[:2])


def test_without_communication_efficiency_is_that_of_the_balance():
    free = Constants(1e12, np.inf, 0.0)
    for each in predictions.predict(free):
        pairs = schemes.SCHEMES[each.scheme].pairs(each.devices, predictions.TOKENS)
        assert each.efficiency == pytest.approx(pairs.mean() / pairs.max(), rel=1e-6)
        assert each.efficiency * each.devices * each.seconds == pytest.approx(
            schemes.needed(predictions.TOKENS, predictions.LAYER) / 1e12
        )


def test_predictions_for_another_machine(capsys):
    words = ["predict", "--rate", "1e14", "--bandwidth", "1e10", "--latency", "1e-5"]
    assert main([*words, "--devices", "16", "--sequence", "65536"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0] == "Predictions for 65,536 tokens"
    assert len(table) == 3 + len(schemes.SCHEMES)
    assert main(["--steps", "2", *words]) == 2
    assert "--steps has no effect on predict" in capsys.readouterr().err


def test_the_page_has_the_tables_of_its_record():
    text = page.PAGE.read_text("utf-8")
    record = json.loads(page.RECORD.read_text("utf-8"))
    assert page.filled(text, record) == text
    titles = [match[1] for match in page.BLOCK.findall(text)]
    assert titles == [table["title"] for table in record["tables"]]
    with pytest.raises(ValueError, match="is no table of the record"):
        page.filled(text, {"tables": []})
    assert Config(**record["config"]).steps == Config().steps
    assert results.markdown(record["tables"][0]) in text
