"""What benchmarks/results.py trains for hours must not fail for a name or a flag."""

import pytest
from scripts import ROOT, loaded_script

from kits_tf import convert, predict, train
from kits_tf.base.settings import flag_fields


@pytest.fixture(scope="module")
def results():
    with loaded_script("benchmarks/results.py") as module:
        yield module


def test_each_recipe_stands_on_those_before_it_and_its_flags_are_known(results) -> None:
    before: dict[str, object] = {}
    for recipe in results.RECIPES:
        stands_on = {recipe.against, recipe.coarse, *recipe.trained_as, recipe.begins_with}
        assert recipe.name not in before and stands_on <= {"", *before}
        flagfile = f"--flagfile={ROOT}/configs/{recipe.config}.flags"
        paths = {"records_dir": "r", "run_dir": "run", "data_dir": "d", "model": "m", "output_dir": "o"}
        for module, more in ((convert, ()), (train, recipe.training), (predict, recipe.inference)):
            command = module.COMMAND
            own = {item.name for _, item, _ in flag_fields(command.settings)}
            given = [f"--{name}={value}" for name, value in paths.items() if name in own]
            command.parse([flagfile, *given, *more, *(["scan"] if command.inputs else [])])
        for trained in map(before.get, recipe.trained_as):
            assert trained.config == recipe.config and not trained.trained_as and not recipe.training
        before[recipe.name] = recipe


def test_flag_files_that_share_records_convert_alike(results) -> None:
    for pair in results._SAME_RECORDS.items():
        both = [
            convert.COMMAND.parse([f"--flagfile={ROOT}/configs/{name}.flags", "--data_dir=d", "--records_dir=r"])
            for name in pair
        ]
        assert both[0] == both[1]


def test_splits_are_apart_and_all_180_cases(results) -> None:
    numbers = [number for cases in results.SPLITS.values() for number in cases]
    assert sorted(numbers) == list(range(180))


def test_recipes_by_name_come_with_those_that_they_need(results) -> None:
    results.flags.FLAGS(["results", "--data_dir=d", "--only=best, record"])
    assert [recipe.name for recipe in results._chosen()] == ["record", "coarse", "fine", "best"]
    results.flags.FLAGS(["results", "--data_dir=d", "--only=bset"])
    with pytest.raises(SystemExit, match="--only: expected names of record, .*, got bset"):
        results._chosen()
    results.flags.FLAGS(["results", "--data_dir=d", "--only="])
    assert {recipe.name for recipe in results._chosen()} >= {"record", "body", "best"}
