"""``huanshu keys`` from the command line: answers, dry runs, exit codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyroaring import BitMap

from huanshu.cli.keys import of_what
from huanshu.drill.range import Range

ROOT = Path(__file__).parents[2]
INTAKE = "resident.psb_to_district"
DENIED = 5
WORDS = "three blind mice run\nfour calling birds!\nfive golden rings..\n"


@pytest.fixture(scope="module")
def place() -> Iterator[Range]:
    with Range(ROOT) as made:
        made.take_in(INTAKE)
        yield made


def test_keys_from_status_to_destruction(
    place: Range, command: Callable[..., tuple[int, Any]], tmp_path: Path
) -> None:
    settings = place.settings
    code, told = command(settings, "huanshu keys status")
    assert code == 0
    assert (told["epoch"], told["datasets"][0]["rows"], told["waiting"]) == (1, {"1": 13}, [])
    code, told = command(settings, "huanshu keys rotate --dry-run")
    assert (code, told["links"]) == (0, {"generation": 1, "wanted": 1})
    assert command(settings, "huanshu keys rotate") == (0, [])

    line = 'keys destroy --epoch 1 --dataset resident --field phone --reason "end of the purpose"'
    code, told = command(settings, f"huanshu --as p.chen {line} --dry-run")
    assert (code, told["entry"], told["keys"] > 0) == (0, None, True)
    assert command(settings, f"huanshu --as p.tang {line}")[0] == DENIED
    code, told = command(settings, f"huanshu --as p.chen {line}")
    entry, keys = told["entry"], told["keys"]
    assert command(settings, f"huanshu --as p.chen keys confirm {entry}")[0] == DENIED
    (waiting,) = command(settings, "huanshu keys status")[1]["waiting"]
    assert (waiting["keys"], waiting["selector"]["field"]) == (keys, "phone")
    code, told = command(settings, f"huanshu --as p.xu keys confirm {entry}")
    assert (code, told["destroyed"]) == (0, keys)
    assert command(settings, f"huanshu --as p.xu keys confirm {entry}")[0] != 0

    record = place.due_records("resident", place.homes("resident")[0])[0][0]
    code, told = command(settings, f'huanshu --as p.chen keys erase resident {record} --case "request 7"')
    assert (code, told["reach"]["records"]) == (0, 1)
    code, told = command(settings, f"huanshu --as p.deng keys confirm {told['entry']}")
    assert (code, told["erased"][0]["removed"]) == (0, 1)
    assert command(settings, "huanshu keys apply --dry-run") == (0, {"erasures": []})

    code, told = command(settings, 'huanshu --as p.chen keys copy --reason "for the archive"')
    copy = tmp_path / "root.copy"
    code, _ = command(settings, f"huanshu --as p.song keys confirm {told['entry']} --to {copy}", WORDS)
    assert (code, copy.stat().st_mode & 0o777) == (0, 0o600)
    code, told = command(settings, f"huanshu --as p.chen keys rehearse {copy}", WORDS[WORDS.index("four") :])
    assert (code, told["keys"] > 0) == (0, True)
    assert command(
        settings, f"huanshu --as p.chen keys rehearse {copy}", "not the right words\nnor these are\n"
    )[0]
    assert place.verify().clean


def test_the_second_person_sees_what_it_is_and_how_much(
    place: Range, command: Callable[..., tuple[int, Any]]
) -> None:
    """Counted by the keeper: whoever proposes can say that it is one person, or one key."""
    with place.administrator() as administrator:
        ((everybody,),) = administrator.execute("SELECT array_agg(ordinal) FROM district.subject").fetchall()
    keeper = place.acting("p.chen").keeper
    case = {"dataset": "resident", "subjects": 1, "detail": {"case": "request 8"}}
    keeper.append({"event": "erasure.subject.proposed", **case}, BitMap(everybody).serialize())
    detail = {"selector": {"epoch": 1}, "keys": 1, "reason": "end of the purpose"}
    keeper.append({"event": "keys.destruction.proposed", "detail": detail})
    held = command(place.settings, "huanshu keys status")[1]
    persons, keys = held["waiting"]
    assert (persons["subjects"], persons["dataset"]) == (len(everybody), "resident")
    assert keys["keys"] == held["keys"]["data"] + held["keys"].get("quarantine", 0) > 1
    assert of_what(persons).en == f"{len(everybody)} persons of resident: request 8"
    assert of_what(keys).en == f"{keys['keys']} keys (epoch 1): end of the purpose"
