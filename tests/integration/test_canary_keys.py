"""No key lies anywhere but where it belongs: real keys of a range are searched for in every byte that was written.

Keys go through intake, delivery, a single read, a denied one, a rotation, a destruction and a copy for another office. One
of every use is searched for, raw, as hex and as base64, in databases, WAL, logs, the published log, the copy and a backup;
and in what Python says of the objects that hold them. The search first proves that it can find.
"""

from __future__ import annotations

import os
import resource
import subprocess
import traceback
from pathlib import Path

import pytest
from searched import forms, found, one_of_every_use

from huanshu.assembly.backup import take
from huanshu.assembly.recovery import rehearse
from huanshu.catalog import Rung
from huanshu.drill.range import Range
from huanshu.errors import HuanshuError, TamperedError
from huanshu.exchange.rotation import rotate
from huanshu.gate.read import Asked, read
from huanshu.identity import adopt_policies, propose_policies
from huanshu.keeper.server import forbid_core_files
from huanshu.keeper.vault import load_root
from huanshu.sealing import KeyName, Keyring
from huanshu.store.embedded import programs

ROOT = Path(__file__).parents[2]
INTAKE, DELIVERY = "resident.psb_to_district", "resident.district_to_communities"
WORDS = ["three blind mice run", "four calling birds!", "five golden rings.."]


def spelt_out(backup: Path) -> list[Path]:
    """A backup's dumps as text beside it: they are compressed, and no search sees into them."""
    texts = []
    for path in sorted(backup.glob("*.dump")):
        texts.append(path.with_suffix(".sql"))
        program = [str(programs() / "pg_restore"), f"--file={texts[-1]}", str(path)]
        subprocess.run(program, check=True, capture_output=True)
    return texts


def test_no_key_is_found_in_any_store_nor_said_by_any_object(tmp_path: Path) -> None:
    with Range(ROOT) as place:
        place.take_in(INTAKE)
        place.deliver(DELIVERY)
        home = place.homes("resident")[0]
        asked = Asked("yulan.data_clerk", home, "resident", "grassroots_service", {"name": Rung.REVEAL},
                      place.due_records("resident", home)[0][0])  # fmt: skip
        here, other = place.acting("p.tang"), place.acting("p.he")
        assert read(here.home, here.keeper, here.district, asked).values["name"]
        with pytest.raises(HuanshuError):
            read(other.home, other.keeper, other.district, asked)
        policy = place.settings.home / "policies/keys.yaml"
        policy.write_text(policy.read_text().replace("\nepoch: 1\n", "\nepoch: 2\n"))
        officer = place.acting("p.chen")
        propose_policies(officer.keeper, officer.home, officer.home.policies.digest)
        second = place.acting("p.deng")
        adopt_policies(second.keeper, second.home, second.home.policies.digest)
        rotate(place.acting().ground())
        claim = {"event": "keys.escrow.proposed", "detail": {"reason": "a copy for the archive"}}
        _, copy = place.acting("p.song").keeper.escrow(officer.keeper.append(claim).index, WORDS)
        (tmp_path / "root.copy").write_bytes(copy)
        rehearse(officer, copy, WORDS[:2])

        held = place.settings.keeper_folder / "root.key"
        root, raw = load_root(held), held.read_bytes()
        with place.administrator() as administrator:
            wrapped = dict(administrator.execute("SELECT name, wrapped FROM keys.wrapped").fetchall())
        uses = one_of_every_use(held, wrapped)
        assert {use for use, _ in uses} >= {"data", "bitmap", "link", "content", "quarantine"}
        needles = [form for key in (raw, *uses.values()) for form in forms(key)]

        folder = place.settings.state.parent
        assert found(folder, forms(raw)) == [str(held)], "the search finds what is there"
        with place.administrator() as administrator:
            administrator.execute("CHECKPOINT")
        assert found(folder, needles, held) == []
        backup = tmp_path / "backup"
        take(place.deployment, backup, WORDS[0])
        texts = spelt_out(backup)
        stored = bytes(next(iter(wrapped.values()))).hex().encode()
        assert found(backup, [stored]) == [str(path) for path in texts if path.stem == "district"]
        assert found(tmp_path, needles) == []
        ring = Keyring({KeyName(name): key for (name, _), key in uses.items()})
        told = f"{ring!r} {root!r} {ring} {root} {dict(os.environ)}"
        with pytest.raises(TamperedError) as refused:
            ring[KeyName("data/none")]
        told += "".join(traceback.format_exception(refused.value))
        for needle in needles:
            assert needle not in told.encode()
            assert repr(needle)[2:-1] not in told
    forbid_core_files()
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
