"""Invariant 2: no plaintext at rest. Planted values are searched for in every byte the platform wrote.

Canaries stand in good rows, in quarantined rows and in an extract that is refused; they go through intake, delivery,
a single read, a denied read and a worker that is killed. The search first proves that it can find.
"""

from __future__ import annotations

import base64
import csv
import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import openpyxl
import psycopg
import pytest

from huanshu.assembly import Stack, connect
from huanshu.assembly.sandbox import enrol_community, prepare, sign_corrections
from huanshu.catalog import Rung
from huanshu.errors import HuanshuError
from huanshu.exchange.corrections import accept, propose, show
from huanshu.exchange.intake import run_intake
from huanshu.exchange.runs import run_delivery
from huanshu.exchange.workbooks import issue, submit
from huanshu.exchange.workbooks.shape import REGISTER
from huanshu.gate.read import Asked, read
from huanshu.settings import Settings

ROOT = Path(__file__).parents[2]
INTAKE, DELIVERY = "resident.psb_to_district", "resident.district_to_communities"
NAME, ADDRESS, PHONE, EMPLOYER = "金丝雀壹贰叁", "清禾区金丝雀路八十八号", "10000777701", "金丝雀纺织研究所"
CANARIES = (NAME, ADDRESS, PHONE, EMPLOYER)


def forms(value: str) -> list[bytes]:
    """The encodings under which a value could lie somewhere."""
    raw = [value.encode(), value.encode("gb18030"), value.encode("utf-16-le"), value.encode("utf-16-be")]
    inner = value.encode()
    return [
        *raw,
        inner.hex().encode(),
        inner.hex().upper().encode(),
        base64.b64encode(inner)[:-4],
        repr(value).encode("unicode_escape")[1:-1],
    ]


NEEDLES = {value: forms(value) for value in CANARIES}


def found(folder: Path, *, skip: tuple[Path, ...] = ()) -> list[str]:
    """Files below a folder that hold a canary in any form."""
    hits = []
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            if any(path.is_relative_to(other) for other in skip) or not path.is_file():
                continue
            raw = path.read_bytes()
            hits += [
                f"{path}: {value[:3]}…"
                for value, needles in NEEDLES.items()
                if any(n in raw for n in needles)
            ]
    return hits


def extract(rows: list[dict[str, str]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def correct(settings: Settings, post: str, domain: str, person: str, record: int) -> list[str]:
    """Canaries on the communities' way back: proposed, refused by rule, shown, accepted; and in a workbook."""
    said: list[str] = []
    ground = connect(settings, person).ground()
    evidence = {"kind": "visit", "reference": f"{NAME}家中"}
    changes = [
        {
            "record": record,
            "base": 1,
            "field": "residence_address",
            "value": f"{ADDRESS}甲",
            "evidence": evidence,
        },
        {"record": record, "base": 1, "field": "phone", "value": PHONE, "evidence": evidence},
        {
            "record": record,
            "base": 1,
            "field": "building_code",
            "value": f"={EMPLOYER}",
            "evidence": evidence,
        },
    ]
    raw = sign_corrections(enrol_community(settings, domain), domain, "resident", 1, changes)
    receipt = propose(ground, raw, post)
    assert [c.state for c in receipt.corrections] == ["proposed", "proposed", "refused"]
    first = receipt.corrections[0]
    steward = next(h.person for h in ground.home.policies.holdings if h.post == first.steward)
    seen = show(connect(settings, steward).ground(), first.correction, first.steward)
    assert seen.proposed == f"{ADDRESS}甲"  # the steward of the field's authority sees it
    said += [repr(receipt), repr(seen)]
    said.append(repr(accept(connect(settings, steward).ground(), first.correction, first.steward)))
    made = issue(ground, "resident", post)
    book = openpyxl.load_workbook(io.BytesIO(made.content))
    sheet = book[REGISTER]
    column = list(made.fields).index("residence_address") + 3
    assert any(ADDRESS in str(cell.value) for row in sheet.iter_rows() for cell in row)
    sheet.cell(3, column).value = f"{ADDRESS}乙"
    filled = io.BytesIO()
    book.save(filled)
    returned = submit(ground, filled.getvalue(), post)
    assert len(returned.corrections) == 1
    said += [repr(made), repr(returned)]
    try:
        submit(ground, filled.getvalue()[:-100], post)
    except HuanshuError as error:
        said += [repr(error), str(error), error.explain("zh")]
    return said


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """A deployment through which the canaries have gone; the folder of plaintext extracts is the sender's."""
    folder = tmp_path_factory.mktemp("canary")
    for part in ("policies", "expectations", "dags", "audit"):
        shutil.copytree(ROOT / part, folder / "home" / part)
    temp = folder / "temp"
    temp.mkdir()
    settings = Settings(folder / "home", folder / "state", "en")
    before = tempfile.tempdir
    tempfile.tempdir = str(temp)
    os.environ["TMPDIR"] = str(temp)
    said: list[str] = []
    with Stack(settings) as stack:
        sandbox = prepare(settings)
        sample = (folder / "home/expectations/resident/samples/passing.csv").read_text()
        rows = list(csv.DictReader(io.StringIO(sample)))
        grown = next(row for row in rows if not row["guardian_name"])
        grown.update(name=NAME, residence_address=ADDRESS, phone=PHONE, employer=EMPLOYER)
        bad = {**rows[-1], "name": NAME, "residence_address": ADDRESS, "phone": "123", "employer": EMPLOYER}
        flow = sandbox.home.flows[INTAKE]

        def send(sequence: int, content: bytes, records: int) -> None:
            shutil.rmtree(settings.intake_folder / INTAKE, ignore_errors=True)
            sandbox.write_extract(
                flow, f"r{sequence}.csv", content, sequence=sequence, period="2026-09", records=records
            )
            try:
                run_intake(
                    connect(settings).ground(), INTAKE, f"c{sequence}", settings.intake_folder / INTAKE
                )
            except HuanshuError as error:
                said.extend([repr(error), str(error), error.explain("zh")])

        send(1, extract([*rows[:-1], bad]), len(rows))
        send(2, extract(rows) + f"{NAME},{ADDRESS}".encode(), len(rows))  # a ragged row: refused whole
        worker = ROOT / "tests/faults/district.py"
        subprocess.run(
            [sys.executable, str(worker), str(settings.home), str(settings.state), DELIVERY, grown["community"], "c:opened:0", "self"],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, check=False, capture_output=True, timeout=120,
        )  # fmt: skip
        ground = connect(settings).ground()
        run_delivery(ground, DELIVERY, "canary", sorted({row["community"] for row in rows}))
        clerk = next(
            h for h in sandbox.home.policies.holdings
            if h.domain == grown["community"] and h.role == "data_clerk" and h.capacity == "holder"
        )  # fmt: skip
        running = connect(settings, clerk.person)
        with running.district() as district:
            numbers = [
                r[0]
                for r in district.execute(
                    "SELECT record FROM district.resident WHERE home = %s", (clerk.domain,)
                )
            ]
        values = set()
        for record in numbers:
            asked = Asked(
                clerk.post,
                clerk.domain,
                "resident",
                "grassroots_service",
                {"name": Rung.REVEAL},
                record,
                None,
            )
            answer = read(running.home, running.keeper, running.district, asked)
            values.add(answer.values["name"])
            said.extend([repr(answer), repr(asked)])
        asked = Asked(
            clerk.post,
            clerk.domain,
            "resident",
            "grassroots_service",
            {"name": Rung.REVEAL},
            None,
            grown["citizen_number"],
        )
        said.append(repr(asked))
        said.extend(correct(settings, clerk.post, clerk.domain, clerk.person, numbers[0]))
        for url in {*(stack.deployment.server(n).admin_url for n in stack.deployment.embedded)}:
            with psycopg.connect(url, autocommit=True) as administrator:
                administrator.execute("CHECKPOINT")
        running.keeper.close()
        yield settings, stack, temp, values, said
    tempfile.tempdir = before
    os.environ.pop("TMPDIR", None)


def test_the_canaries_really_went_through(lived) -> None:  # type: ignore[no-untyped-def]
    settings, _, _, values, said = lived
    assert NAME in values
    assert any("extract." in text for text in said)
    with connect(settings).district() as district:
        quarantined = district.execute("SELECT count(*) FROM district.quarantine").fetchone()
    assert quarantined == (1,)


def test_the_search_can_find(lived) -> None:  # type: ignore[no-untyped-def]
    """The control: written plainly into a table, a canary lies in the data folder and in the WAL."""
    _, stack, *_ = lived
    server = stack.deployment.server("district")
    url = psycopg.conninfo.make_conninfo(server.admin_url, dbname="postgres")
    marker = "金丝雀对照样本甲乙丙"
    NEEDLES[marker] = forms(marker)
    try:
        with psycopg.connect(url, autocommit=True) as administrator:
            administrator.execute("CREATE TABLE careless (value text)")
            administrator.execute("INSERT INTO careless VALUES (%s)", (marker,))
            administrator.execute("CHECKPOINT")
        hits = found(server.folder)
        assert any("pg_wal" in hit for hit in hits)
        assert any("base" in hit for hit in hits)
    finally:
        del NEEDLES[marker]


def test_no_canary_lies_in_state_data_folders_wal_or_temp(lived) -> None:  # type: ignore[no-untyped-def]
    settings, _, temp, *_ = lived
    searched = [path for path in settings.state.rglob("*") if path.is_file()]
    assert len(searched) > 1000
    assert any("pg_wal" in str(path) for path in searched)
    assert found(settings.state, skip=(settings.intake_folder,)) == []
    assert found(temp) == []


def test_no_canary_in_reprs_and_errors(lived) -> None:  # type: ignore[no-untyped-def]
    said = lived[4]
    assert said
    for text in said:
        assert not any(value in text for value in CANARIES)


def test_absent_and_present_look_alike_in_the_store(lived) -> None:  # type: ignore[no-untyped-def]
    """Invariant 6: one length per sealed field, whatever the value or its absence."""
    settings = lived[0]
    home = connect(settings).home
    sealed = [field for field in home.contracts["resident"].fields if field.sealed]
    assert sealed
    with connect(settings).district() as district:
        for field in sealed:
            lengths = district.execute(
                f"SELECT DISTINCT length({field.name}) FROM district.resident".encode()
            ).fetchall()
            assert lengths == [(field.width + 1 + 16,)], field.name
