"""Extracts on disk: every form reads back as the same cells, and nothing is ever half there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from huanshu.assembly.sandbox import Sandbox
from huanshu.auditlog import Signer, create_signing_key, require_signature
from huanshu.catalog import Home
from huanshu.errors import InputError
from huanshu.exchange.extract import read_extract
from huanshu.exchange.manifest import read_manifest
from huanshu.settings import Settings
from huanshu.simulator import FORMS, Extract, Form, Scale, Simulation, Written, write
from huanshu.simulator.forms import csv_lines
from huanshu.store import EmbeddedServer

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def extract(sample: Home) -> Extract:
    return Simulation(sample, 5, Scale.of(400), ("resident",)).extract("resident", 2)


def taken_in(home: Home, written: Written) -> pa.Table:
    """What intake reads, once the manifest has a signature (of nobody: intake's reader does not look at it)."""
    signed = {**json.loads(written.manifest.read_text()), "signature": "0" * 128}
    path = written.manifest.with_name("signed.manifest.json")
    path.write_text(json.dumps(signed, ensure_ascii=False))
    batches = read_extract(written.file.parent, read_manifest(path), home.contracts[written.dataset])
    return pa.concat_tables(batch.table for batch in batches)


@pytest.mark.parametrize("form", FORMS)
def test_intake_reads_every_form_as_the_same_cells(
    sample: Home, extract: Extract, form: Form, tmp_path: Path, server: EmbeddedServer
) -> None:
    written = write(sample, extract, tmp_path, form, url=server.admin_url)
    assert taken_in(sample, written).to_pylist() == extract.table().to_pylist()
    assert json.loads(written.truth.read_text()) == dict(extract.truth)
    assert written.rows == extract.rows


def test_a_sandbox_signs_what_was_written_and_sends_it(
    sample: Home, extract: Extract, tmp_path: Path
) -> None:
    create_signing_key(tmp_path / "sender.key")
    signer = Signer.load(tmp_path / "sender.key")
    flow = next(f for f in sample.flows.values() if f.kind == "intake" and f.dataset == "resident")
    sandbox = Sandbox(Settings(ROOT, tmp_path / "state", "en"), sample, {flow.source: signer})
    written = write(sample, extract, tmp_path / "department", "gb18030")
    manifest = read_manifest(sandbox.sign_extract(flow, written.manifest))
    assert not written.file.exists()
    require_signature(signer.public_key, manifest.signature, manifest.signed)
    (batch,) = read_extract(
        sandbox.settings.intake_folder / flow.flow, manifest, sample.contracts["resident"]
    )
    assert batch.table.num_rows == extract.rows


@pytest.mark.parametrize("form", [form for form in FORMS if form != "postgresql"])
def test_the_same_arguments_write_the_same_bytes(sample: Home, form: Form, tmp_path: Path) -> None:
    seen = []
    for place in ("a", "b"):
        extract = Simulation(sample, 3, Scale.of(300), ("resident",)).extract("resident")
        write(sample, extract, tmp_path / place, form)
        seen.append({path.name: path.read_bytes() for path in (tmp_path / place).iterdir()})
    assert seen[0] == seen[1]
    assert len(seen[0]) == 3


def test_cells_with_separators_are_quoted() -> None:
    batch = pa.table({"a": ["x,y", 'say "so"', None], "b": ["1", None, "3"]})
    assert bytes(csv_lines(batch)).decode() == '"x,y",1\n"say ""so""",\n,3\n'
    assert bytes(csv_lines(batch.slice(2))).decode() == ",3\n"


@pytest.mark.parametrize("form", ["csv", "xlsx", "parquet"])
def test_an_interruption_leaves_nothing_of_the_new_and_all_of_the_old(
    sample: Home, extract: Extract, form: Form, tmp_path: Path
) -> None:
    write(sample, extract, tmp_path, form)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def interrupted(start: int, stop: int) -> pa.Table:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(sample, replace(extract, _stretch=interrupted), tmp_path, form)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_spreadsheet_has_its_limit(sample: Home, extract: Extract, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"simulator\.sheet\.oversize"):
        write(sample, replace(extract, rows=50_001), tmp_path, "xlsx")
    assert list(tmp_path.iterdir()) == []


def test_a_postgresql_source_needs_a_url(sample: Home, extract: Extract, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"simulator\.source\.missing"):
        write(sample, extract, tmp_path, "postgresql")
    assert list(tmp_path.iterdir()) == []
