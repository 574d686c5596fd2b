"""An ONNX graph that torch exported → an optimised one that opens fast, quantised to int8 if asked."""

from __future__ import annotations

from pathlib import Path

LARGE_TENSOR_BYTES = 1024  # smaller tensors stay in the graph's own file


def finish_graph(raw: Path, target: Path, *, int8: bool) -> None:
    """Quantise if asked, optimise, and write to `target` with the weights beside it; `raw` is removed.

    Exceptions of onnx and ONNX Runtime are not translated.
    """
    if int8:
        small = target.with_suffix(".int8.onnx")
        _quantise(raw, small)
        _remove(raw)
        raw = small
    _optimise(raw, target)
    _remove(raw)


def _quantise(source: Path, target: Path) -> None:
    """Matrices to int8, with a scale for each column; inputs are quantised at run time. Convolutions stay fp32."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        str(source),
        str(target),
        op_types_to_quantize=["MatMul", "Gemm"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        use_external_data_format=True,
        extra_options={"MatMulConstBOnly": True},
    )


def _optimise(source: Path, target: Path) -> None:
    """Let ONNX Runtime fuse operations, in ways that suit any machine, and write the result for all later runs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    options.add_session_config_entry("session.disable_prepacking", "1")
    for name, value in (("file_name", f"{target.name}.data"), ("min_size_in_bytes", str(LARGE_TENSOR_BYTES))):
        options.add_session_config_entry(f"session.optimized_model_external_initializers_{name}", value)
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


def _remove(path: Path) -> None:
    for file in (path, path.with_name(f"{path.name}.data")):
        file.unlink(missing_ok=True)
