"""What the gate knows of a model, and what it lets through. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controlplane.gate.allowed import FUNCTION_DOMAINS, OPERATORS

Operator = tuple[str, str]  # domain ("" for ai.onnx), name


@dataclass(frozen=True)
class Tensor:
    """A constant as it is declared and as it lies in the file."""

    name: str
    sides: tuple[int, ...]
    bits: int  # of one number; 0: of no kind that is known, or text
    held: int  # bytes that are there; for text and half-filled kinds: numbers that are there
    counted: bool  # whether `held` counts numbers instead of bytes
    location: str | None = None  # where else its numbers are said to be


@dataclass(frozen=True)
class Facts:
    """Of one file. Everything in it is a stranger's word."""

    ort_format: bool = False
    opsets: tuple[tuple[str, int], ...] = ()  # domain, version
    ir: int = 0
    nodes: int = 0  # of inner graphs and functions too
    unfolded: int = 0  # nodes once functions stand in place of their calls
    depth: int = 0  # graphs in graphs
    operators: Mapping[Operator, int] = field(default_factory=dict)
    functions: tuple[Operator, ...] = ()  # that the file defines
    circular: str = ""  # a function that comes to call itself
    metadata: tuple[str, ...] = ()  # keys
    entries: int = 0  # of operator sets and of metadata, together
    tensors: tuple[Tensor, ...] = ()
    values: tuple[tuple[str, tuple[int, ...]], ...] = ()  # name, sides (0: free) of inputs, outputs and what is between
    axis: int = 0  # the farthest from 0 that an attribute names
    rounds: int = 0  # the most that nested loops of known length make together
    endless: bool = False  # a loop whose condition nothing changes


@dataclass(frozen=True)
class Limits:
    """What a model may be. `operators` and `function_domains` are what an operator of this control plane may extend."""

    operators: frozenset[Operator] = OPERATORS
    function_domains: frozenset[str] = FUNCTION_DOMAINS
    nodes: int = 50_000  # exporters of large transformers write 10 000
    entries: int = 1_000  # of operator sets and of metadata, together: exporters write dozens
    depth: int = 8  # levels of If, Loop and Scan
    tensors: int = 50_000
    rounds: int = 1_000_000  # of loops, nested ones multiplied
    rank: int = 12  # sides of a tensor
    side: int = 1 << 31
    value_bytes: int = 2 << 30  # of one tensor between operators, at 4 bytes a number
    opset: int = 28  # newest that ONNX Runtime of the boxes reads
    ir: int = 14

    def allowing(self, operators: frozenset[Operator]) -> Limits:
        """With `operators` beside ours; a name "*" stands for functions of that domain."""
        domains = {domain for domain, name in operators if name == "*"}
        return Limits(self.operators | operators, self.function_domains | domains)
