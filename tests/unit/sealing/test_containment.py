"""What one stolen data key is worth, by the measurement of the drill ``stolen_data_key``."""

from __future__ import annotations

import pytest

from huanshu.drill.careless import OneKeyForAll
from huanshu.drill.stealing import Hoard
from huanshu.sealing import new_key


@pytest.mark.parametrize("careless", [False, True], ids=["a key each", "control: one key for all"])
def test_a_stolen_key_opens_its_field_domain_and_epoch_alone(careless: bool) -> None:
    hoard = Hoard(146, 12, ("name", "phone"), OneKeyForAll() if careless else new_key)
    worth = hoard.stolen("name", 7, 5)
    assert worth.cells == 146 * 12 * 2
    assert hoard.all_open()
    if careless:
        assert (worth.own, worth.others) == (1.0, worth.cells)
    else:
        assert worth.own == 1 / 146 / 12
        assert worth.others == 0
