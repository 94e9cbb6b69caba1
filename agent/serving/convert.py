"""Open Inference Protocol messages ↔ the data plane's values; pure. Only here does serving read protobuf fields.

Inputs come as `raw_input_contents` (one per input, in order) or as typed `contents`, which are bounded: they are packed
on the agent's event loop. Outputs always leave raw.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from agent.inference.datatypes import BYTES, FIXED, check_known, pack_bytes
from agent.ports import Tensor, TensorSpec
from agent.serving import bounds, parameters
from agent.serving.dataplane import InferRequest, InferResult, ModelMetadata, ServerMetadata
from agent.serving.errors import BadRequest, TooLarge
from agent.serving.repository import Indexed
from agent.serving.shared_memory import RegionPart, RegionStatus
from agent.serving.statistics import Duration, ModelStatistics
from protos import inference_pb2 as pb

# Which typed field carries a datatype; FP16 has none.
_FIELDS: dict[str, str] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}


def infer_request(message: pb.ModelInferRequest, remaining: float | None) -> InferRequest:
    """`remaining`: seconds of the call's own deadline. Raises BadRequest."""
    policy = parameters.policy(_parameters(message.parameters)) if message.parameters else parameters.USUAL
    inputs, shared = _inputs(message)
    timeouts = [seconds for seconds in (policy.timeout, remaining) if seconds is not None]
    return InferRequest(
        model=message.model_name,
        version=message.model_version or None,
        inputs=inputs,
        outputs=[output.name for output in message.outputs] or None,
        id=message.id,
        timeout=min(timeouts, default=None),
        min_score=policy.min_score,
        priority=policy.priority,
        deadline_unix_ns=policy.deadline_unix_ns,
        partition=policy.partition,
        shared=shared,
        into=_into(message),
    )


def infer_response(result: InferResult) -> pb.ModelInferResponse:
    response = pb.ModelInferResponse(model_name=result.model, model_version=result.version, id=result.id)
    for tensor in result.outputs:
        output = response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        response.raw_output_contents.append(bytes(tensor.data))  # empty for one in shared memory: clients count them
        if tensor.place is not None:
            part = result.into[tensor.name]
            for name, value in parameters.of_region(part.region, part.offset, tensor.nbytes).items():
                kind = "string_param" if isinstance(value, str) else "int64_param"
                setattr(output.parameters[name], kind, value)
    return response


def server_metadata(metadata: ServerMetadata) -> pb.ServerMetadataResponse:
    return pb.ServerMetadataResponse(name=metadata.name, version=metadata.version, extensions=metadata.extensions)


def model_metadata(metadata: ModelMetadata) -> pb.ModelMetadataResponse:
    return pb.ModelMetadataResponse(
        name=metadata.name,
        versions=metadata.versions,
        platform=metadata.platform,
        inputs=[_described(spec) for spec in metadata.inputs],
        outputs=[_described(spec) for spec in metadata.outputs],
    )


def model_statistics(found: list[ModelStatistics]) -> pb.ModelStatisticsResponse:
    return pb.ModelStatisticsResponse(model_stats=[_statistics(each) for each in found])


def _statistics(each: ModelStatistics) -> pb.ModelStatistics:
    durations: dict[str, Duration] = vars(each.inference_stats)
    return pb.ModelStatistics(
        name=each.name,
        version=each.version,
        last_inference=each.last_inference,
        inference_count=each.inference_count,
        execution_count=each.execution_count,
        inference_stats=pb.InferStatistics(
            **{name: pb.StatisticDuration(count=spent.count, ns=spent.ns) for name, spent in durations.items()}
        ),
    )


def repository_index(lines: list[Indexed]) -> pb.RepositoryIndexResponse:
    models = [pb.RepositoryIndexResponse.ModelIndex(**vars(line)) for line in lines]
    return pb.RepositoryIndexResponse(models=models)


def region(message: pb.SystemSharedMemoryRegisterRequest) -> RegionStatus:
    return RegionStatus(message.name, message.key, message.offset, message.byte_size)


def region_statuses(found: list[RegionStatus]) -> pb.SystemSharedMemoryStatusResponse:
    regions = {each.name: pb.SystemSharedMemoryStatusResponse.RegionStatus(**vars(each)) for each in found}
    return pb.SystemSharedMemoryStatusResponse(regions=regions)


def _described(spec: TensorSpec) -> pb.ModelMetadataResponse.TensorMetadata:
    return pb.ModelMetadataResponse.TensorMetadata(name=spec.name, datatype=spec.datatype, shape=spec.shape)


def _parameters(message: Mapping[str, pb.InferParameter]) -> dict[str, object]:
    chosen = ((name, value, value.WhichOneof("parameter_choice")) for name, value in message.items())
    return {name: getattr(value, choice) for name, value, choice in chosen if choice}


def _inputs(message: pb.ModelInferRequest) -> tuple[list[Tensor], dict[str, RegionPart]]:
    """The tensors, and which of them lie in shared memory; for those no raw contents come."""
    shared = {item.name: part for item in message.inputs if item.parameters and (part := _part(item))}
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs) - len(shared):
        raise BadRequest(
            f"{len(message.inputs) - len(shared)} inputs to be sent, but {len(raw)} raw_input_contents came;"
            " send one for each"
        )
    if raw and any(item.HasField("contents") for item in message.inputs):
        raise BadRequest("both raw_input_contents and typed contents came; send all inputs one way")
    tensors, contents = [], iter(raw)
    for item in message.inputs:
        data = b"" if item.name in shared else next(contents) if raw else _typed(item)
        tensors.append(Tensor(item.name, item.datatype, tuple(item.shape), data))
    return tensors, shared


def _into(message: pb.ModelInferRequest) -> dict[str, RegionPart]:
    """Which outputs go into shared memory."""
    return {output.name: part for output in message.outputs if output.parameters and (part := _part(output))}


def _part(
    item: pb.ModelInferRequest.InferInputTensor | pb.ModelInferRequest.InferRequestedOutputTensor,
) -> RegionPart | None:
    part = parameters.region_part(item.name, _parameters(item.parameters))
    if part is not None and isinstance(item, pb.ModelInferRequest.InferInputTensor) and item.HasField("contents"):
        raise BadRequest(f"input {item.name!r}: data came beside its place in shared memory; send one of them")
    return part


def _typed(item: pb.ModelInferRequest.InferInputTensor) -> bytes:
    check_known(item.name, item.datatype)
    if item.datatype not in _FIELDS:
        raise BadRequest(f"input {item.name!r}: {item.datatype!r} has no typed contents; send it raw")
    values = getattr(item.contents, _FIELDS[item.datatype])
    if len(values) > bounds.most(item.datatype):
        raise TooLarge(
            f"input {item.name!r}: {len(values)} typed values are more than the {bounds.most(item.datatype)} taken; "
            "send it in raw_input_contents"
        )
    if item.datatype == BYTES:
        return pack_bytes(values)
    try:
        return struct.pack(f"<{len(values)}{FIXED[item.datatype].code}", *values)
    except struct.error as error:
        raise BadRequest(f"input {item.name!r}: a value is out of the range of {item.datatype}") from error
