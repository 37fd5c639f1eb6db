"""
The runtimes of the host: they run the operators that stay on the CPU, and the original model as the reference.

An operator runs in LiteRT's reference kernels. What these lack runs in LiteRT's default kernels; an SVDF with an 8-bit
state, for which LiteRT has none, in TFLM's, where `tflite-micro` is installed. So a model is run in pieces: operators
in a row of the same kernels. What no runtime has a kernel for, such as a custom operator, is left out, and so is what
reads its results. So is what reads a sparse constant as if it were dense, beyond its end, as most kernels do.

All pieces of the same kernels are subgraphs of one model, because resources (VAR_HANDLE and its like) are shared by
what runs in one interpreter. Variable tensors are handed in and out of a piece as all other tensors are, so that
state is whoever's it is who runs the pieces; only TFLM keeps its own.

LiteRT is an optional dependency (extra `run`), imported when first needed. It checks little and can take its process
down, so it runs in a process of its own. Every failure is a HostError.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npuc.simulator.isolation import HostError, Isolated, SourceError, tried
from npuc.simulator.stream import StreamError
from npuc.simulator.tflite import CUSTOM, CompiledModel, initial_state, read_model


class Kernels(Enum):
    """Whose kernels run an operator; the text says it."""

    REFERENCE = "LiteRT's reference kernels"
    DEFAULT = "LiteRT's default kernels"
    TFLM = "TFLM's kernels"


@dataclass(frozen=True)
class Piece:
    """
    Operators in a row, all of the same kernels.

    `feeds` are the tensors that they need from elsewhere, `results` those that they give, variable tensors in both.
    """

    operators: tuple[int, ...]
    kernels: Kernels
    feeds: tuple[int, ...]
    results: tuple[int, ...]


@dataclass
class Plan:
    """
    How operators are run: in which pieces, and which not at all.

    `left_out` holds those without a kernel and why, `dependent` those that read what these would have made.
    `remembers` says that state is kept between runs which only a restart clears.
    """

    pieces: list[Piece] = field(default_factory=list)
    left_out: dict[int, str] = field(default_factory=dict)
    dependent: set[int] = field(default_factory=set)
    remembers: bool = False


@dataclass(frozen=True)
class Note:
    """What is done with some operators, by index, that is not as usual; `names` lists them."""

    what: str
    operators: tuple[int, ...]
    names: str

    def __str__(self) -> str:
        return f"{self.what}: {self.names}"


def _modules() -> tuple[Any, Any]:
    try:
        from ai_edge_litert import interpreter, schema_py_generated
    except ImportError:
        raise HostError("CPU operators and references need LiteRT: pip install ai-edge-litert") from None
    return interpreter, schema_py_generated


_SVDF = "27"
_SUM = "74"
_SVDF_STATE = 4
_CUSTOM_KIND = str(CUSTOM)
_COMMON_TYPES = {"float32", "int8", "uint8", "int16", "int32", "int64", "bool"}
_NO_KERNEL = "no runtime here has a kernel"
_NO_SPARSE_KERNEL = "no runtime here has a kernel that reads sparse constants"
_LARGEST_TFLM_ARENA = 1 << 28


def operator_names(model: CompiledModel) -> list[str]:
    """The operators' names as in the TFLite schema."""
    _, schema = _modules()
    names = {str(code): name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    return [names.get(operator.kind, operator.kind) for operator in model.operators]


@contextmanager
def _damage(what: str) -> Generator[None]:
    """
    Turns what the schema's readers and the interpreters' wrappers raise on a damaged model into a HostError.

    They check nothing, so it may be any exception.
    """
    try:
        yield
    except StreamError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise HostError(f"{what}: {type(error).__name__} {text[:200]}".rstrip()) from None


# In the process of the runtimes


class _Tflm:
    """TFLM's kernels on a model of one piece, which keep their state themselves."""

    def __init__(self, data: bytes):
        from tflite_micro import runtime  # pyright: ignore[reportMissingImports]

        model = read_model(data)
        self._outputs = len(model.outputs)
        arena = 16384 + 4 * sum(tensor.bytes for tensor in model.tensors if tensor.data is None)
        if arena > _LARGEST_TFLM_ARENA:
            raise HostError(f"TFLM would need an arena of {arena} bytes")
        with _damage("TFLM refuses the model"):
            self._interpreter = runtime.Interpreter.from_bytes(data, arena_size=arena)

    def reset(self) -> None:
        self._interpreter.reset()

    def run(self, inputs: Sequence[NDArray]) -> list[NDArray]:
        with _damage("TFLM fails"):
            for position, value in enumerate(inputs):
                shape = self._interpreter.get_input_details(position)["shape"]
                self._interpreter.set_input(np.ascontiguousarray(value).reshape(shape), position)
            self._interpreter.invoke()
            return [self._interpreter.get_output(i) for i in range(self._outputs)]


class _LiteRt:
    """LiteRT's kernels on the pieces of a model, each a subgraph that a signature names."""

    def __init__(self, data: bytes, kernels: Kernels):
        self._data = data
        self._kernels = kernels
        self.reset()

    def reset(self) -> None:
        """Also of resources, which nothing but a new interpreter forgets."""
        module, _ = _modules()
        resolvers = module.OpResolverType
        default = self._kernels is Kernels.DEFAULT
        with _damage("LiteRT refuses the model"):
            self._interpreter = module.Interpreter(
                model_content=self._data,
                experimental_op_resolver_type=resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
                if default
                else resolvers.BUILTIN_REF,
                num_threads=1,
            )
        self._runners: dict[str, Any] = {}

    def run(self, key: str, values: Mapping[str, NDArray]) -> dict[str, NDArray]:
        with _damage("LiteRT fails"):
            if key not in self._runners:
                self._runners[key] = self._interpreter.get_signature_runner(key)
            return self._runners[key](**values)

    def prepare(self) -> None:
        """Raises what LiteRT says of the first piece."""
        with _damage("LiteRT refuses the model"):
            self._interpreter.allocate_tensors()


class _Pieces:
    """
    Operators of a model's main subgraph, ready to run: `together` as long as their kernels are the same, or each alone.

    Built and used in the process of the runtimes.
    """

    def __init__(self, model: CompiledModel, operators: Sequence[int], together: bool):
        _, self._schema = _modules()
        self._model = model
        self._names = operator_names(model)
        self._lacking: dict[tuple[int, int, Kernels], bool] = {}
        with _damage("the model is damaged"):
            self._whole = self._schema.ModelT.InitFromPackedBuf(model.source, 0)
            self._mend()
            self._stateful = {i for i in operators if self._uses_handles(i)}
        self._plan = Plan()
        kernels = self._choose(operators)
        one_piece = together and len({*kernels.values()}) == 1 and not self._plan.left_out
        if not one_piece:
            self._leave_out(operators)
        self._plan.remembers = bool(self._stateful) or Kernels.TFLM in kernels.values()
        for group in self._groups(operators, kernels, together):
            self._plan.pieces.append(self._piece(group, kernels[group[0]]))
        self._litert: dict[Kernels, _LiteRt] = {}
        self._tflm: dict[int, _Tflm] = {}
        for chosen in (Kernels.REFERENCE, Kernels.DEFAULT):
            pieces = {n: piece for n, piece in enumerate(self._plan.pieces) if piece.kernels is chosen}
            if pieces:
                self._litert[chosen] = _LiteRt(self._pack(pieces, chosen), chosen)
        for number, piece in enumerate(self._plan.pieces):
            if piece.kernels is Kernels.TFLM:
                self._tflm[number] = _Tflm(self._pack({number: piece}, Kernels.TFLM))

    # What is called

    def plan(self) -> Plan:
        return self._plan

    def restart(self) -> None:
        for runtime in (*self._litert.values(), *self._tflm.values()):
            runtime.reset()

    def run(self, numbers: Sequence[int], values: Mapping[int, NDArray]) -> dict[int, NDArray]:
        """Runs pieces one after the other; gives all their results by tensor."""
        given = dict(values)
        made: dict[int, NDArray] = {}
        for number in numbers:
            piece = self._plan.pieces[number]
            with self._named(piece):
                made.update(self._run(number, piece, given))
            given.update(made)
        return made

    def _run(self, number: int, piece: Piece, given: Mapping[int, NDArray]) -> dict[int, NDArray]:
        feeds: dict[int, NDArray] = {}
        for index in piece.feeds:
            tensor = self._model.tensors[index]
            if index not in given:
                raise HostError(f"tensor {tensor.name!r} is read, which nothing has written")
            value = given[index]
            feeds[index] = value.reshape(tensor.shape) if value.size == np.prod(tensor.shape) else value
        if piece.kernels is Kernels.TFLM:
            return dict(zip(piece.results, self._tflm[number].run(list(feeds.values())), strict=True))
        found = self._litert[piece.kernels].run(str(number), {f"t{i}": value for i, value in feeds.items()})
        return {index: found[f"t{index}"] for index in piece.results}

    @contextmanager
    def _named(self, piece: Piece) -> Generator[None]:
        """An error of a piece of one operator says which it is."""
        try:
            yield
        except HostError as error:
            first, *others = piece.operators
            if others:
                raise
            raise HostError(f"{self._called(first)}: {error}") from None

    def _called(self, index: int) -> str:
        return f"operator {index} ({self._names[index]})"

    # Which kernels

    def _mend(self) -> None:
        """
        Takes per-axis quantisation from tensors that have not the axis, and brings in buffers from behind the file.

        TFLM accepts such axes (person_detect's biases carry them) and LiteRT does not; no kernel uses them.
        """
        for subgraph in self._whole.subgraphs:
            for tensor in subgraph.tensors:
                quantisation = tensor.quantization
                rank = 0 if tensor.shape is None else len(tensor.shape)
                if quantisation and quantisation.scale is not None and quantisation.quantizedDimension >= max(rank, 1):
                    quantisation.quantizedDimension = 0
        for buffer in self._whole.buffers:
            if buffer.offset > 1:
                end = buffer.offset + buffer.size
                buffer.data = np.frombuffer(self._model.source, np.uint8)[buffer.offset : end]
                buffer.offset = buffer.size = 0

    def _bodies(self, operator: Any) -> Iterable[Any]:
        """The subgraphs that an operator runs, as IF and STABLEHLO_COMPOSITE do, and those that their operators run."""
        todo = [operator]
        seen: set[int] = set()
        while todo:
            one = todo.pop()
            options = [
                field for table in (one.builtinOptions, one.builtinOptions2) if table for field in vars(table).items()
            ]
            for name, number in options:
                numbers = [number] if name.endswith("SubgraphIndex") else []
                if name.endswith("SubgraphIndices") and number is not None:
                    numbers = [int(one) for one in number]
                for one in numbers:
                    if one > 0 and one not in seen:
                        seen.add(one)
                        body = self._whole.subgraphs[one]
                        todo += body.operators
                        yield body

    def _uses_handles(self, index: int) -> bool:
        kinds = (self._schema.TensorType.RESOURCE, self._schema.TensorType.VARIANT)
        operator = self._model.operators[index]
        own = any(self._model.tensors[i].is_handle for i in (*operator.inputs, *operator.outputs) if i >= 0)
        bodies = self._bodies(self._whole.subgraphs[0].operators[index])
        return own or any(tensor.type in kinds for body in bodies for tensor in body.tensors)

    def _codes(self, index: int) -> list[Any]:
        """The operator's code, and those of what it runs."""
        operator = self._whole.subgraphs[0].operators[index]
        inner = [one for body in self._bodies(operator) for one in body.operators]
        return [self._whole.operatorCodes[one.opcodeIndex] for one in (operator, *inner)]

    def _lacks(self, code: Any, kernels: Kernels) -> bool:
        """Whether kernels lack a builtin operator: an interpreter of a model that only names it cannot be built."""
        key = max(code.builtinCode, code.deprecatedBuiltinCode), code.version, kernels
        if key[0] == CUSTOM:
            return False
        if key not in self._lacking:
            empty = self._schema.SubGraphT()
            empty.tensors, empty.operators, empty.inputs, empty.outputs = [], [], [], []
            model = self._schema.ModelT()
            model.version, model.operatorCodes, model.subgraphs = 3, [code], [empty]
            model.buffers = [self._schema.BufferT()]
            try:
                _LiteRt(_packed(model), kernels)
                self._lacking[key] = False
            except HostError:
                self._lacking[key] = True
        return self._lacking[key]

    def _choose(self, operators: Sequence[int]) -> dict[int, Kernels]:
        """The kernels of each operator; those that have none are put down in the plan."""
        chosen: dict[int, Kernels] = {}
        for index in operators:
            with _damage(f"operator {index} is damaged"):
                codes = self._codes(index)
                custom = any(max(code.builtinCode, code.deprecatedBuiltinCode) == CUSTOM for code in codes)
                lacks = {kernels: any(self._lacks(code, kernels) for code in codes) for kernels in _LITERT}
            if self._has_8_bit_state(index):
                # LiteRT takes the state for 16-bit and writes beyond it; TFLM knows 8-bit states.
                if importlib.util.find_spec("tflite_micro"):
                    chosen[index] = Kernels.TFLM
                else:
                    self._plan.left_out[index] = "LiteRT has no SVDF with an 8-bit state, and TFLM is absent"
            elif self._misreads_sparse(index):
                self._plan.left_out[index] = _NO_SPARSE_KERNEL
            elif (custom or self._has_rare_types(index)) and (refusal := self._refusal(index)):
                self._plan.left_out[index] = refusal
            elif not lacks[Kernels.REFERENCE] and not self._sums_values_with_signs(index):
                chosen[index] = Kernels.REFERENCE
            elif not lacks[Kernels.DEFAULT]:
                chosen[index] = Kernels.DEFAULT
            else:
                self._plan.left_out[index] = _NO_KERNEL
        # Resources are shared within an interpreter only.
        if any(chosen.get(index) is Kernels.DEFAULT for index in self._stateful):
            chosen.update({index: Kernels.DEFAULT for index in self._stateful if index in chosen})
        return chosen

    def _has_8_bit_state(self, index: int) -> bool:
        operator = self._model.operators[index]
        state = operator.inputs[_SVDF_STATE] if operator.kind == _SVDF and len(operator.inputs) > _SVDF_STATE else -1
        return state >= 0 and self._model.tensors[state].dtype.itemsize == 1

    def _sums_values_with_signs(self, index: int) -> bool:
        """Whether an operator is a SUM whose values LiteRT's reference kernel takes for bytes without sign."""
        operator = self._model.operators[index]
        signed = (np.dtype(np.int8), np.dtype(np.int16))
        return operator.kind == _SUM and self._model.tensors[operator.inputs[0]].dtype in signed

    def _misreads_sparse(self, index: int) -> bool:
        """Whether an operator, or one that it runs, reads a sparse tensor by a kernel that takes it for dense."""
        types, main = self._schema.TensorType, self._whole.subgraphs[0]
        own = [(main, main.operators[index])]
        for subgraph, operator in own + [(b, one) for b in self._bodies(own[0][1]) for one in b.operators]:
            inputs = [-1] if operator.inputs is None else [int(i) for i in operator.inputs]
            sparse = [n for n, i in enumerate(inputs) if i >= 0 and subgraph.tensors[i].sparsity is not None]
            code = self._whole.operatorCodes[operator.opcodeIndex]
            builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
            knows = builtin == self._schema.BuiltinOperator.DENSIFY
            if builtin == self._schema.BuiltinOperator.FULLY_CONNECTED:
                kinds = {subgraph.tensors[i].type for i in inputs[:2]}
                knows = sparse == [1] and kinds <= {types.FLOAT32, types.INT8}
            if sparse and not knows:
                return True
        return False

    def _has_rare_types(self, index: int) -> bool:
        """Whether an operator is of types that few kernels take, and most notice only when they run."""
        operator = self._model.operators[index]
        types = {self._model.tensors[i].dtype for i in (*operator.inputs, *operator.outputs) if i >= 0}
        return any(type_.kind != "V" and type_.name not in _COMMON_TYPES for type_ in types)

    def _refusal(self, index: int) -> str:
        """Why LiteRT cannot run an operator that it may not know, or not of its types; "" if it can."""

        def run() -> str:
            piece = self._piece([index], Kernels.REFERENCE)
            runtime = _LiteRt(self._pack({0: piece}, Kernels.REFERENCE), Kernels.REFERENCE)
            runtime.prepare()
            if self._has_rare_types(index):
                feeds = [self._model.tensors[i] for i in piece.feeds]
                runtime.run("0", {f"t{one.index}": np.zeros(one.shape, one.dtype) for one in feeds})
            return ""

        said = tried(run, "LiteRT's kernel")
        return _NO_KERNEL if "custom op" in said.lower() else said.split("Node number")[0].rstrip(". ")

    def _leave_out(self, operators: Sequence[int]) -> None:
        """Finds what reads the results of the operators that are left out, also a run later."""
        plan = self._plan
        unknown: set[int] = set()
        wanted = set(operators)
        before = -1
        while before != len(plan.dependent) + len(unknown):
            before = len(plan.dependent) + len(unknown)
            forgets = self._stateful & {*plan.left_out, *plan.dependent}
            for operator in self._model.operators:
                index = operator.index
                if index not in wanted:
                    continue
                lost = bool(unknown.intersection(operator.inputs)) or self._reads_foreign_handle(index)
                if index in plan.left_out or lost or (forgets and index in self._stateful):
                    unknown.update(operator.outputs)
                    unknown.update(i for i in operator.inputs if i >= 0 and self._model.tensors[i].is_variable)
                    if index not in plan.left_out:
                        plan.dependent.add(index)
            unknown.discard(-1)

    def _maker(self, tensor: int) -> int:
        return self._makers.get(tensor, -1)

    @cached_property
    def _makers(self) -> dict[int, int]:
        return {i: operator.index for operator in self._model.operators for i in operator.outputs}

    @cached_property
    def _readers(self) -> dict[int, list[int]]:
        readers: dict[int, list[int]] = {}
        for operator in self._model.operators:
            for i in operator.inputs:
                readers.setdefault(i, []).append(operator.index)
        return readers

    def _names_a_handle(self, index: int) -> bool:
        """Whether an operator only names a resource, as VAR_HANDLE does: any piece can have it again."""
        operator = self._model.operators[index]
        return not operator.inputs and all(self._model.tensors[i].is_handle for i in operator.outputs)

    def _reads_foreign_handle(self, index: int) -> bool:
        """Whether an operator reads a handle that cannot be made again for a piece of its own."""
        handles = [i for i in self._model.operators[index].inputs if i >= 0 and self._model.tensors[i].is_handle]
        return any(self._maker(i) < 0 or not self._names_a_handle(self._maker(i)) for i in handles)

    # Pieces

    def _groups(
        self, operators: Sequence[int], kernels: Mapping[int, Kernels], together: bool
    ) -> Iterable[tuple[int, ...]]:
        group: list[int] = []
        for index in operators:
            if index not in kernels or index in self._plan.dependent:
                continue
            alone = not together or Kernels.TFLM in (kernels[index], kernels[group[0]] if group else None)
            if group and (alone or kernels[index] is not kernels[group[0]]):
                yield tuple(group)
                group = []
            group.append(index)
        if group:
            yield tuple(group)

    def _piece(self, group: Sequence[int], kernels: Kernels) -> Piece:
        tensors = self._model.tensors
        own = [self._model.operators[index] for index in group]
        read = [i for i in dict.fromkeys(i for one in own for i in one.inputs) if i >= 0 and not tensors[i].is_handle]
        made = [i for i in dict.fromkeys(i for one in own for i in one.outputs) if i >= 0 and not tensors[i].is_handle]
        inside = set(group)
        variables = [i for i in read if tensors[i].is_variable and tensors[i].data is None]
        feeds = [i for i in read if tensors[i].data is None and i not in made and i not in variables]
        # Types that nobody here can compare, such as strings, only where they are needed.
        outside = [i for i in made if i in self._model.outputs or not inside.issuperset(self._readers.get(i, ()))]
        results = [i for i in made if tensors[i].dtype.kind != "V" or i in outside]
        if kernels is not Kernels.TFLM:
            feeds += variables
            results += [i for i in variables if i not in results]
        return Piece(tuple(group), kernels, tuple(feeds), tuple(results))

    def _pack(self, pieces: Mapping[int, Piece], kernels: Kernels) -> bytes:
        """A model whose subgraphs are the pieces; those that operators run by their number keep it."""
        with _damage("the model is damaged"):
            schema = self._schema
            model = schema.ModelT()
            model.version, model.buffers = self._whole.version, self._whole.buffers
            model.operatorCodes = [*self._whole.operatorCodes]
            model.subgraphs = [None, *self._whole.subgraphs[1:]]
            model.signatureDefs = []
            for number, piece in pieces.items():
                subgraph, places = self._subgraph(piece)
                at = 0 if model.subgraphs[0] is None else len(model.subgraphs)
                model.subgraphs[at : at + 1] = [subgraph]
                signature = schema.SignatureDefT()
                signature.signatureKey, signature.subgraphIndex = str(number), at
                signature.inputs = [self._named_tensor(i, places) for i in piece.feeds]
                signature.outputs = [self._named_tensor(i, places) for i in piece.results]
                model.signatureDefs.append(signature)
            if kernels in _LITERT:
                self._forget_codes(model, kernels)
            return _packed(model)

    def _forget_codes(self, model: Any, kernels: Kernels) -> None:
        """Puts another in the place of what the kernels lack: LiteRT wants all of a model's, used or not."""
        spare = self._schema.OperatorCodeT()
        spare.version = 1
        for number, code in enumerate(model.operatorCodes):
            if self._lacks(code, kernels):
                model.operatorCodes[number] = spare

    def _named_tensor(self, tensor: int, places: Mapping[int, int]) -> Any:
        named = self._schema.TensorMapT()
        named.name, named.tensorIndex = f"t{tensor}", places[tensor]
        return named

    def _subgraph(self, piece: Piece) -> tuple[Any, dict[int, int]]:
        """The piece, and where in it the model's tensors are; resources are named again at its beginning."""
        schema = self._schema
        graph = self._whole.subgraphs[0]
        handles = [i for n in piece.operators for i in self._model.operators[n].inputs]
        makers = {self._maker(i) for i in handles if i >= 0 and self._model.tensors[i].is_handle}
        operators = [*sorted(makers - {-1, *piece.operators}), *piece.operators]
        numbers: dict[int, int] = {-1: -1}
        placed: list[Any] = []
        for index in operators:
            source, operator = graph.operators[index], schema.OperatorT()
            vars(operator).update(vars(source))
            inner = [] if source.intermediates is None else list(source.intermediates)
            known = self._model.operators[index]
            for i in (*known.inputs, *known.outputs, *inner):
                numbers.setdefault(int(i), len(numbers) - 1)
            operator.inputs = np.array([numbers[i] for i in known.inputs], np.int32)
            operator.outputs = np.array([numbers[i] for i in known.outputs], np.int32)
            operator.intermediates = np.array([numbers[int(i)] for i in inner], np.int32) if inner else None
            placed.append(operator)
        subgraph = schema.SubGraphT()
        subgraph.operators = placed
        subgraph.tensors = [graph.tensors[i] for i in numbers if i >= 0]
        subgraph.inputs = np.array([numbers[i] for i in piece.feeds], np.int32)
        subgraph.outputs = np.array([numbers[i] for i in piece.results], np.int32)
        return subgraph, numbers


_LITERT = (Kernels.REFERENCE, Kernels.DEFAULT)


def _packed(model: Any) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


# In the process of whoever wants something run


class Host:
    """
    Operators of a model in the runtimes of the host; tensors by their index in the model.

    They are run `together` where their kernels are the same, or each alone.
    """

    def __init__(self, model: CompiledModel, operators: Sequence[int], together: bool = False, what: str = "running"):
        _modules()  # once for all processes, and its absence is told at once
        self._process = Isolated(partial(_Pieces, model, operators, together), what)
        self.plan: Plan = self._process.call("plan")
        names = operator_names(model)
        self._named = [f"operator {index} ({name})" for index, name in enumerate(names)]
        self.piece_of = {index: n for n, piece in enumerate(self.plan.pieces) for index in piece.operators}

    def restart(self) -> None:
        """Forgets what runs have left behind."""
        if self.plan.remembers:
            self._process.call("restart")

    def run(self, numbers: Sequence[int], values: Mapping[int, NDArray]) -> dict[int, NDArray]:
        """Runs pieces by number, on the tensors that they need; gives all their results."""
        needed = {i for number in numbers for i in self.plan.pieces[number].feeds}
        return self._process.call("run", numbers, {i: value for i, value in values.items() if i in needed})

    def notes(self) -> list[Note]:
        """What is left out, and what runs elsewhere than in LiteRT's reference kernels."""
        found: dict[str, list[int]] = {}
        for index, why in self.plan.left_out.items():
            found.setdefault(f"left out, because {why}", []).append(index)
        for piece in self.plan.pieces:
            if piece.kernels is not Kernels.REFERENCE:
                what = f"run in {piece.kernels.value}, because LiteRT's reference kernels lack or misread them"
                found.setdefault(what, []).extend(piece.operators)
        return [
            Note(what, tuple(indices), ", ".join(self._named[i] for i in indices)) for what, indices in found.items()
        ]


class Reference:
    """
    The original model, operator by operator in the best kernels that there are for it; every tensor is kept.

    Raises SourceError.
    """

    def __init__(self, data: bytes):
        self.model = read_model(data)
        self._state: dict[int, NDArray] = {}
        self._alone: Host | None = None
        with self._source():
            self._host = Host(self.model, self._every, together=True, what="running the source model")
        self.notes = self._host.notes()

    @property
    def _every(self) -> Sequence[int]:
        return range(len(self.model.operators))

    @contextmanager
    def _source(self) -> Generator[None]:
        try:
            yield
        except StreamError as error:
            raise SourceError(str(error)) from None

    @property
    def left_out(self) -> dict[int, str]:
        """The operators that nothing here can run, and why."""
        return self._host.plan.left_out

    @property
    def known(self) -> set[int]:
        """The tensors that a run gives."""
        return {i for piece in self._host.plan.pieces for i in piece.results}

    @property
    def keeps_state(self) -> bool:
        """Whether one run's results depend on the run before it."""
        return self._host.plan.remembers or any(tensor.is_variable for tensor in self.model.tensors)

    def run(self, inputs: Mapping[int, NDArray], carry: bool = False) -> dict[int, NDArray]:
        """
        All tensors that its operators make, by index, for inputs by position; without what depends on one left out.

        With `carry` from the state that the last run left.
        """
        with self._source():
            if not carry:
                self._host.restart()
                self._state = initial_state(self.model)
            values = {index: inputs[position] for position, index in enumerate(self.model.inputs)}
            made = self._host.run(range(len(self._host.plan.pieces)), {**values, **self._state})
            self._state = {index: made.get(index, value) for index, value in self._state.items()}
        return made

    def run_operator(self, index: int, values: Mapping[int, NDArray]) -> dict[int, NDArray] | None:
        """What one operator makes of tensors by index; None if it cannot be run, or not without its state."""
        with self._source():
            if self._alone is None:
                self._alone = Host(self.model, self._every, what="running the source model")
            number = self._alone.piece_of.get(index)
            if number is None or self._alone.plan.remembers:
                return None
            feeds = self._alone.plan.pieces[number].feeds
            if not values.keys() >= {*feeds} or any(self.model.tensors[i].is_variable for i in feeds):
                return None
            return self._alone.run([number], values)
