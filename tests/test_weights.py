"""Weight files: exact round trips, and everything else refused with one kind of error."""

import json
import os
import pickle

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from physopt.core import weights
from physopt.core.weights import MAX_BYTES, WeightsError, load_weights, read_provenance, save_weights
from physopt.rules.lbfgs import LBFGS
from physopt.rules.learned import Span
from physopt.rules.search import Backtracking


def rule(seed: int = 0, width: int = 3) -> Span:
    return Span(width, key=jax.random.key(seed))


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "span.safetensors"
    save_weights(path, rule(), {"command": "physopt train quadratics", "seed": 0})
    return path


def parts(path):
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def rewrite(path, header, payload):
    encoded = json.dumps(header).encode()
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + payload)


def test_a_rule_comes_back_bit_for_bit(saved):
    back = load_weights(saved, rule(seed=1))
    assert eqx.tree_equal(back, rule())
    assert read_provenance(saved) == {"command": "physopt train quadratics", "seed": 0}
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_every_flipped_byte_is_noticed(saved):
    data = saved.read_bytes()
    for place in range(0, len(data), 7):
        saved.write_bytes(data[:place] + bytes([data[place] ^ 0x11]) + data[place + 1 :])
        with pytest.raises(WeightsError):
            load_weights(saved, rule())


def test_every_truncation_is_noticed(saved):
    data = saved.read_bytes()
    for length in [0, 1, 7, 8, 9, 100, len(data) // 2, len(data) - 1]:
        saved.write_bytes(data[:length])
        with pytest.raises(WeightsError):
            load_weights(saved, rule())
    saved.write_bytes(data + b"more")
    with pytest.raises(WeightsError):
        load_weights(saved, rule())


@pytest.mark.parametrize("key", ["format", "class", "hyperparameters", "provenance", "version", "sha256"])
@pytest.mark.parametrize("value", ["", "os.system", "../../etc/passwd", None, 3, ["Span"], "x" * 100_000])
def test_edited_metadata_are_refused(saved, key, value):
    header, payload = parts(saved)
    header["__metadata__"][key] = value
    rewrite(saved, header, payload)
    with pytest.raises(WeightsError):
        load_weights(saved, rule())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        pickle.dumps({"weights": [1, 2]}),
        b"\x80\x04" + b"cos\nsystem\n",
        (2**63).to_bytes(8, "little") + b"{}",
        (20).to_bytes(8, "little") + b"[" * 20,
        (10**6).to_bytes(8, "little") + b"[" * 10**6,
        (2).to_bytes(8, "little") + b"{}",
        (4).to_bytes(8, "little") + b"null",
        b"\x93NUMPY" + bytes(100),
        b"PK\x03\x04" + bytes(1000),
    ],
)
def test_foreign_files_are_refused(tmp_path, content):
    path = tmp_path / "foreign"
    path.write_bytes(content)
    with pytest.raises(WeightsError):
        load_weights(path, rule())


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F64", "shape": [10**12], "data_offsets": [0, 8 * 10**12]},
        {"dtype": "F64", "shape": [-1], "data_offsets": [0, 8]},
        {"dtype": "F64", "shape": [1], "data_offsets": [-8, 0]},
        {"dtype": "O", "shape": [1], "data_offsets": [0, 8]},
        {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]},
        {"dtype": "F8_E8M0", "shape": [8], "data_offsets": [0, 8]},
        {"dtype": "F64", "shape": [1]},
        "F64",
    ],
)
def test_hostile_array_entries_are_refused(saved, entry):
    header, payload = parts(saved)
    first = next(name for name in header if name != "__metadata__")
    rewrite(saved, {**header, first: entry}, payload)
    with pytest.raises(WeightsError):
        load_weights(saved, rule())
    rewrite(saved, {"__metadata__": header["__metadata__"], first: entry}, bytes(8))
    with pytest.raises(WeightsError):
        load_weights(saved, rule())


def test_oversize_files_are_refused_unread(saved):
    os.truncate(saved, MAX_BYTES + 1)
    with pytest.raises(WeightsError, match="larger"):
        load_weights(saved, rule())


def test_another_rule_is_refused(saved):
    with pytest.raises(WeightsError, match="LBFGS"):
        load_weights(saved, LBFGS())
    with pytest.raises(WeightsError, match="same arguments"):
        load_weights(saved, rule(width=4))
    with pytest.raises(WeightsError, match=r"0\.5"):
        load_weights(saved, Span(3, key=jax.random.key(0), search=Backtracking(shrink=0.3)))
    single = jax.tree.map(lambda a: a.astype(jnp.float32) if eqx.is_array(a) else a, rule())
    with pytest.raises(WeightsError, match="float32"):
        load_weights(saved, single)


def test_weights_that_are_not_finite_are_neither_written_nor_read(saved):
    bad = eqx.tree_at(lambda r: r.head.bias, rule(), jnp.full(4, jnp.nan))
    before = saved.read_bytes()
    with pytest.raises(WeightsError, match="bias"):
        save_weights(saved, bad, {})
    assert saved.read_bytes() == before
    arrays = {k: np.full_like(v, np.inf) for k, v in safetensors.numpy.load(before).items()}
    metadata = parts(saved)[0]["__metadata__"]
    metadata["sha256"] = weights._digest({k: v for k, v in metadata.items() if k != "sha256"}, arrays)
    saved.write_bytes(safetensors.numpy.save(arrays, metadata))
    with pytest.raises(WeightsError, match="finite"):
        load_weights(saved, rule())
