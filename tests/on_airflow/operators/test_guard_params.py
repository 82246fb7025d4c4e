"""Guards as fields of a trigger form."""

from dataclasses import asdict

import pytest

from optimove_provider.operators.guard_params import guard_params, guards_of_run
from optimove_provider.operators.optix import OptixUploadOperator
from optimove_provider.options import Guards


@pytest.mark.parametrize("source_is", ["snapshot", "delta"])
def test_the_fields_have_the_guards_defaults_and_a_sentence_each(source_is):
    params, defaults = guard_params(source_is), asdict(Guards())
    assert {name: param.value for name, param in params.items()} == {name: defaults[name] for name in params}
    assert all(param.description.startswith("Guard: ") for param in params.values())
    assert guards_of_run(source_is).keys() == params.keys()
    for param in params.values():
        param.resolve()


def test_a_snapshot_has_all_but_the_one_for_records_that_are_to_expire_and_a_delta_the_one_for_both():
    assert set(guard_params("snapshot")) == set(asdict(Guards())) - {"max_removed_share"}
    assert set(guard_params("delta")) == {"max_changed_share"}


def test_what_the_form_says_is_what_the_load_obeys():
    operator = OptixUploadOperator(
        task_id="upload",
        data_connection_uuid="u",
        primary_key="id",
        source=[],
        mode="changed",
        source_is="snapshot",
        guards=guards_of_run("snapshot"),
    )
    params = {"allow_empty": True, "min_rows_share": 0, "min_filled_share": 0.2, "max_changed_share": 1}
    operator.render_template_fields({"params": params})
    assert Guards.read(operator.guards) == Guards(True, 0, 0.2, 1)
