"""What errors tell of published data sets."""

import pytest

from skpadim.datasets import load_hyper_kvasir, load_mvtec_ad, load_visa


@pytest.mark.parametrize(
    ("load", "arguments", "url"),
    [
        (load_visa, ("pcb1",), "https://github.com/amazon-science/spot-diff"),
        (load_mvtec_ad, ("bottle",), "https://www.mvtec.com/company/research/datasets/mvtec-ad"),
        (load_hyper_kvasir, (), "https://datasets.simula.no/hyper-kvasir/"),
    ],
)
@pytest.mark.parametrize("there", [True, False])
def test_a_wrong_root_is_told_where_the_data_set_can_be_had(tmp_path, load, arguments, url, there):
    root = tmp_path if there else tmp_path / "nowhere"
    with pytest.raises(FileNotFoundError, match=rf"can be had from {url} .*Expected layout:"):
        load(root, *arguments)
