"""A worker says what decides its numbers."""

import time
from pathlib import Path

import pytest

from pipeline.network import environment as module
from pipeline.network.environment import environment
from pipeline.run.code import code_of

X86 = """processor	: 0
model name	: A CPU @ 2 GHz
flags		: fpu sse2 avx fma avx2 avx512f avx512_bf16 amx_tile sha_ni aes

processor	: 1
model name	: Another
flags		: fpu
"""
ARM = "processor	: 0\nFeatures	: fp asimd sve bf16 crc32\n"


def test_it_names_versions_machine_and_code() -> None:
    found = environment(3)
    assert found["threads"] == "3"
    assert found["device"]
    backend = found["backend"]
    for name in ("python", "keras", "numpy", backend):
        assert found[f"version.{name}"][0].isdigit()
    assert found["cpu"]
    assert code_of().items() <= found.items()


def test_it_costs_next_to_nothing() -> None:
    environment(1)
    began = time.perf_counter()
    environment(1)
    assert time.perf_counter() - began < 1.0  # 15 ms on a machine with nothing else to do


@pytest.mark.parametrize(
    ("text", "cpu", "instructions"),
    [
        (X86, "A CPU @ 2 GHz", "amx_tile avx avx2 avx512_bf16 avx512f fma"),
        (ARM, None, "asimd bf16 sve"),
    ],
)
def test_instruction_sets_are_those_that_choose_kernels(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    cpu: str | None,
    instructions: str,
) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(text)
    monkeypatch.setattr(module, "_CPU", file)
    found = environment(1)
    assert found["cpu.instructions"] == instructions
    assert cpu is None or found["cpu"] == cpu


def test_variables_that_choose_kernels_are_named_and_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    monkeypatch.setenv("TF_DETERMINISTIC_OPS", "1")
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_max_isa=AVX2 --xla_dump_to=/home/secret")
    monkeypatch.setenv("ONEDNN_VERBOSE_TIMESTAMP", "/secret")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    found = environment(1)
    assert found["env.TF_ENABLE_ONEDNN_OPTS"] == "0"
    assert found["env.ONEDNN_MAX_CPU_ISA"] == "AVX2"
    assert found["env.TF_DETERMINISTIC_OPS"] == "1"
    assert found["env.XLA_FLAGS"] == "--xla_cpu_max_isa=AVX2"
    assert "secret" not in str(found)


def test_a_user_without_a_name_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert "user" not in environment(1)
