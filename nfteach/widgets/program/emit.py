"""From steps to JavaScript: maps of one shape become one loop; what depends on the same sliders runs together."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nfteach.widgets.program.lower import (
    Access,
    Call,
    Loop,
    Map,
    Step,
    accesses_of,
    looked_up_by,
    lowered,
    read_by,
    written_by,
)
from nfteach.widgets.program.record import Buffer, Recording, Refused, View, steps_of

__all__ = ["ARRAYS", "emitted"]

#: torch's dtype -> the page's array.
ARRAYS = {"float64": "Float64Array", "float32": "Float32Array", "bool": "Uint8Array", "uint8": "Uint8Array",
          "int64": "Int32Array", "int32": "Int32Array", "int16": "Int32Array", "int8": "Int32Array"}  # fmt: skip


#: Folds that are written out, for loops over one type of array are several times as fast: where t begins, what a
#: number v does to it, and what is kept of n numbers.
_FOLDS = {
    "sum": ("0", "t += v;", "t"), "mean": ("0", "t += v;", "t/n"), "prod": ("1", "t *= v;", "t"),
    "norm": ("0", "t += v * v;", "Math.sqrt(t)"), "amax": ("-Infinity", "if (v > t || v !== v) t = v;", "t"),
    "amin": ("Infinity", "if (v < t || v !== v) t = v;", "t"), "any": ("0", "if (v) t = 1;", "t"),
    "all": ("1", "if (!v) t = 0;", "t"), "count": ("0", "if (v !== 0) t++;", "t"),
}  # fmt: skip


def emitted(recording: Recording, outputs: Sequence[View]) -> tuple[str, list[Buffer]]:
    """Return a recording as the text of a module, and its buffers, of which it asks for the constant ones.

    The module's default export is a function of the library H and of ``C(k)``, which returns the numbers of the
    constant buffer k. It returns ``run(inputs, changed)``, of which bit k of ``changed`` says that input k has moved,
    and ``outputs``, a function for each of ``outputs`` that returns it: a number, or a new array.

    Raises:
        Refused: an operation that is not known.
    """
    return _Emitter(recording, outputs).module()


class _Emitter:
    def __init__(self, recording: Recording, outputs: Sequence[View]) -> None:
        self.inputs = len(recording.inputs)
        self.buffers, steps = lowered(recording)
        # What is handed out stands one number after another in a buffer of its own.
        self.handed = []
        for view in outputs:
            if not view.contiguous or view.size != self.buffers[view.buffer].size:
                self.buffers.append(Buffer(view.size, view.dtype, self.buffers[view.buffer].mask))
                place = Access(len(self.buffers) - 1, steps_of(view.shape))
                steps.append(Map(view.shape, "{0}", (Access(view.buffer, view.strides, view.offset),), place))
                self.handed.append(len(self.buffers) - 1)
            else:
                self.handed.append(view.buffer)
        self.steps: list[Step] = []
        self.turns: dict[int, tuple[list[int], list[int]]] = {}  # of a loop: its steps, and those at the end of a turn
        self.given: set[int] = set()  # what a turn begins with
        self.outer = [self._added(step) for step in steps]
        self.functions: list[str] = []
        self.writers: dict[int, list[int]] = defaultdict(list)
        self.readers: dict[int, list[int]] = defaultdict(list)
        for k, step in enumerate(self.steps):
            for buffer in written_by(step):
                self.writers[buffer].append(k)
            for buffer in read_by(step):
                self.readers[buffer].append(k)
        self.asked = {*self.handed, *(self.steps[k].more for k in self.turns)}
        self.in_parts = {
            b for b, writers in self.writers.items() if any(b in getattr(self.steps[k], "after", ()) for k in writers)
        } | {buffer for k in self.turns for buffer in self.steps[k].outs}

    def _added(self, step: Step) -> int:
        if isinstance(step, Loop):
            turn = [self._added(one) for one in step.steps], [self._added(one) for one in step.last]
            self.steps.append(step)
            self.turns[len(self.steps) - 1] = turn
        else:
            self.steps.append(_squeezed(step) if isinstance(step, Map) else step)
        return len(self.steps) - 1

    # ---- the order -----------------------------------------------------------------------------------------------

    def _mask(self, k: int) -> int:
        mask = 0
        for buffer in written_by(self.steps[k]):
            mask |= self.buffers[buffer].mask
        return mask

    def _blocks(self) -> Iterator[tuple[int, list[list[int]]]]:
        """Yield masks with the groups of steps that have them; what a step reads has a part of its mask."""
        by_mask: dict[int, list[int]] = defaultdict(list)
        for k in self.outer:
            by_mask[self._mask(k)].append(k)
        done: set[int] = set()
        for mask in sorted(by_mask, key=lambda mask: (mask.bit_count(), mask)):
            yield mask, self._in_groups(by_mask[mask], done)

    def _in_groups(self, pending: Sequence[int], done: set[int]) -> list[list[int]]:
        """Return steps in groups that run in one loop each, in a possible order; they are added to ``done``."""
        before, within, waiting = {}, {}, defaultdict(list)
        rooms: dict[Any, list[int]] = defaultdict(list)  # steps over the same places, and each of those that run alone
        for k in pending:
            before[k], within[k] = self._needs(k, done)
            rooms[self._room(k)].append(k)
            for other in before[k] | within[k]:
                waiting[other].append(k)
        groups: list[list[int]] = []
        found: dict[Any, list[int]] = {}
        stale = set(rooms)
        while before:
            for room in stale:
                found[room] = _together(rooms[room], before, within)
            ready = [group for group in found.values() if group]
            alone = [group for group in ready if not isinstance(self.steps[group[0]], Map)]
            group = min(alone) if alone else max(ready, key=lambda one: (len(one), -one[0]))
            groups.append(group)
            room = self._room(group[0])
            stale = {room}
            for k in group:
                del before[k], within[k]
                for one in (k, *(inner for part in self.turns.get(k, ()) for inner in part)):
                    done.add(one)
                    for other in waiting.pop(one, ()):
                        if other in before:
                            before[other].discard(one)
                            within[other].discard(one)
                            stale.add(self._room(other))
            rooms[room] = [k for k in rooms[room] if k in before]
        return groups

    def _room(self, k: int) -> Any:
        step = self.steps[k]
        return step.domain if isinstance(step, Map) else k

    def _needs(self, k: int, done: set[int]) -> tuple[set[int], set[int]]:
        """Return the steps that must run before a step, and those that may run in the same loop; none of ``done``."""
        step = self.steps[k]
        before: set[int] = set()
        within: set[int] = set()
        if isinstance(step, Map):
            whole = {access.buffer for access in looked_up_by(step.out)}
            earlier, until = step.after, k
            for access in accesses_of(step):
                if access.buffer in self.given:
                    continue
                # In one loop, a number is read where it was made: at the same place of the same buffer.
                makers = [] if access.buffer in self.in_parts or access.buffer in whole else self.writers[access.buffer]
                made = {m for m in makers if self._room(m) == step.domain and self.steps[m].out == access}
                if made:
                    within |= made
                else:
                    whole.add(access.buffer)
        else:
            whole = set(step.reads)
            earlier, until = (step.outs, self.turns[k][1][0]) if isinstance(step, Loop) else ((), k)
        before.update(m for buffer in earlier for m in self.writers[buffer] if m < until)
        before.update(m for buffer in whole - self.given for m in self.writers[buffer])
        return before - done, within - done

    # ---- the text ------------------------------------------------------------------------------------------------

    def module(self) -> tuple[str, list[Buffer]]:
        blocks: list[str] = []
        for mask, groups in self._blocks():
            calls = [self._function(group) for group in groups]
            blocks.append(
                f"if (changed & {mask or -1}) {{ {' '.join(calls)} }}"
                if mask
                else f"if (!begun) {{ {' '.join(calls)} }}"
            )
        used = {b for step in self.steps for b in (*read_by(step), *written_by(step))} | set(self.handed)
        inputs = range(self.inputs)
        declared = [
            f"let v{k} = 0;" if self._is_number(k) else f"const a{k} = new Float64Array({self.buffers[k].size});"
            for k in inputs
        ]
        for k in sorted(used):
            buffer = self.buffers[k]
            if k < self.inputs:
                continue
            if buffer.data is not None:
                if buffer.size != 1 or k in self.handed:
                    declared.append(f"const a{k} = C({k});")
            elif self._is_number(k):
                declared.append(f"let v{k} = 0;")
            elif buffer.size == 1:
                declared.append(f"const a{k} = [0];")
            else:
                declared.append(f"const a{k} = new {ARRAYS[buffer.dtype]}({buffer.size});")
        moved = " ".join(f"v{k} = inputs[{k}];" if self._is_number(k) else f"a{k}.set(inputs[{k}]);" for k in inputs)
        outs = ", ".join(f"() => {self._handed(k)}" for k in self.handed)
        lines = [
            "export default (H, C) => {", *declared, *self.functions, "let begun = false;",
            f"return {{ run(inputs, changed) {{ {moved}", *blocks, f"begun = true; }}, outputs: [{outs}] }};", "};",
        ]  # fmt: skip
        return "\n".join(lines) + "\n", self.buffers

    def _function(self, group: Sequence[int]) -> str:
        """Add a function for a group, and return its call."""
        text = self._turns(group[0]) if group[0] in self.turns else self._text(group)
        self.functions.append(f"function f{len(self.functions)}() {{ {text} }}")
        return f"f{len(self.functions) - 1}();"

    def _turns(self, k: int) -> str:
        loop, (steps, last) = self.steps[k], self.turns[k]
        before, self.given = self.given, self.given | set(loop.outs)
        inside = {*steps, *last}
        done = {n for n in range(len(self.steps)) if n not in inside}
        calls = " ".join(self._function(group) for part in (steps, last) for group in self._in_groups(part, done))
        self.given = before
        more = f"v{loop.more}" if self._is_number(loop.more) else f"a{loop.more}[0]"
        return f"for (let turn = 0; turn < {loop.most}; turn++) {{ {calls} if (!{more}) break; }}"

    def _is_number(self, k: int) -> bool:
        """Return whether a buffer is a variable rather than an array."""
        return self.buffers[k].size == 1 and self.buffers[k].data is None

    def _handed(self, k: int) -> str:
        return f"v{k}" if self._is_number(k) else f"a{k}.slice()"

    def _text(self, group: Sequence[int]) -> str:
        first = self.steps[group[0]]
        if isinstance(first, Call):
            return self._call(first)
        maps = [self.steps[k] for k in group]
        # Neighbouring dimensions are one where no access tells them apart.
        strides = [list(access.strides) for access in self._touched(maps, group)]
        domain, merged = _merged(list(first.domain), strides)
        place = {
            tuple(old): new for old, new in zip((a.strides for a in self._touched(maps, group)), merged, strict=True)
        }
        lines, names, scalars, inside = [], {}, set(), set(group)
        for k, one in zip(group, maps, strict=True):
            code = one.code
            for n, read in reversed(list(enumerate(one.reads))):
                code = code.replace(f"{{{n}}}", self._value(read, place, names, scalars))
            name = f"t{k}"
            lines.append(f"const {name} = {code};")
            target = self._target(one.out, place, scalars)
            if one.adds:
                lines.append(f"{target} += {name};")
            elif self._kept(one.out.buffer, inside):
                lines.append(f"{target} = {name};")
            names[one.out] = name
        inner = " ".join(lines)
        for d in reversed(range(len(domain))):
            inner = f"for (let i{d} = 0; i{d} < {domain[d]}; i{d}++) {{ {inner} }}"
        copies = f"const {', '.join(f's{k} = v{k}' for k in sorted(scalars))}; " if scalars and domain else ""
        return copies + (inner if domain else inner.replace("\ue000", "v")).replace("\ue000", "s")

    def _touched(self, maps: Sequence[Map], group: Sequence[int]) -> list[Access]:
        found = []
        for one in maps:
            for access in (*one.reads, one.out):
                if isinstance(access, Access):
                    found.append(access)
                    found += [inner for inner, _, _ in access.looked_up]
        return found

    def _value(self, read: Any, place: Any, names: Any, scalars: set[int]) -> str:
        if not isinstance(read, Access):
            return _literal(read)
        if read in names and read.buffer not in self.in_parts:
            return names[read]
        buffer = self.buffers[read.buffer]
        if buffer.size == 1:
            if buffer.data is not None:
                return _literal(buffer.data.reshape(()).item())
            scalars.add(read.buffer)
            return f"\ue000{read.buffer}"
        return f"a{read.buffer}[{self._index(read, place, names, scalars)}]"

    def _target(self, out: Access, place: Any, scalars: set[int]) -> str:
        if self._is_number(out.buffer):
            return f"v{out.buffer}"
        return f"a{out.buffer}[{self._index(out, place, {}, scalars)}]"

    def _index(self, access: Access, place: Any, names: Any, scalars: set[int]) -> str:
        terms = [f"{s}*i{d}" if s != 1 else f"i{d}" for d, s in enumerate(place[access.strides]) if s]
        for inner, size, stride in access.looked_up:
            value = f"H.at({self._value(inner, place, names, scalars)},{size})"
            terms.append(f"{stride}*{value}" if stride != 1 else value)
        if access.offset or not terms:
            terms.append(str(access.offset))
        return "+".join(terms).replace("+-", "-")

    def _kept(self, buffer: int, inside: set[int]) -> bool:
        """Return whether what a group writes is read outside of it: within, it is read where it is made."""
        return buffer in self.asked or buffer in self.in_parts or any(k not in inside for k in self.readers[buffer])

    def _call(self, step: Call) -> str:
        reads = [self._array(k) for k in step.reads]
        boxes = [k for k in step.outs if self._is_number(k)]
        outs = [f"b{k}" if k in boxes else f"a{k}" for k in step.outs]
        before = "".join(f"const b{k} = [0]; " for k in boxes)
        after = "".join(f" v{k} = b{k}[0];" for k in boxes)
        if step.name in _FOLDS:
            return f"{before}{_fold(step, reads[0], outs[0])}{after}"
        if step.name == "product":
            return f"{before}{_product(step, *reads, *outs)}{after}"
        details = [json.dumps(one) for one in step.details]
        return f"{before}H.{step.name}({', '.join([*reads, *outs, *details])});{after}"

    def _array(self, k: int) -> str:
        buffer = self.buffers[k]
        if buffer.size == 1:
            return f"[{_literal(buffer.data.reshape(()).item())}]" if buffer.data is not None else f"[v{k}]"
        return f"a{k}"


def _together(room: Sequence[int], before: Mapping[int, set[int]], within: Mapping[int, set[int]]) -> list[int]:
    """Return the steps over the same places that can run in one loop now."""
    group: dict[int, None] = {}
    for k in room:
        if not before[k] and within[k] <= group.keys():
            group[k] = None
    return list(group)


def _fold(step: Call, x: str, out: str) -> str:
    begin, turn, end = _FOLDS[step.name]
    n = step.details[0]
    return (
        f"const x = {x}, o = {out}; for (let r = 0, k = 0; r < o.length; r++) {{ let t = {begin}; "
        f"for (const e = k + {n}; k < e; k++) {{ const v = x[k]; {turn} }} o[r] = {end.replace('/n', f'/{n}')}; }}"
    )


def _product(step: Call, a: str, b: str, out: str) -> str:
    """Return loops for products of matrices (n, inner) and (inner, m), b row by row."""
    batch, n, inner, m = step.details
    first = f"Math.floor(r / {n}) * {inner * m}" if batch > 1 else "0"
    if m == 1:
        return (
            f"const x = {a}, y = {b}, o = {out}; for (let r = 0, k = 0; r < {batch * n}; r++) {{ let t = 0; "
            f"for (let j = {first}, e = k + {inner}; k < e; k++, j++) t += x[k] * y[j]; o[r] = t; }}"
        )
    # Four rows of b at a time: each number of a row of the result is read and written a quarter as often.
    four = inner // 4 * 4
    begun = ", ".join(f"v{k} = x[k + {k}]" for k in range(4))
    added = " + ".join(f"v{k} * y[j + {k * m}]" for k in range(4))
    fours = (
        f"for (const e = k + {four}; k < e; k += 4, j += {3 * m}) {{ const {begun}; "
        f"for (let c = 0; c < {m}; c++, j++) s[c] += {added}; }} "
    )
    rest = (
        f"for (const e = k + {inner - four}; k < e; k++) {{ const v = x[k]; "
        f"for (let c = 0; c < {m}; c++) s[c] += v * y[j++]; }} "
    )
    return (
        f"const x = {a}, y = {b}, o = {out}, s = new Float64Array({m}); "
        f"for (let r = 0, k = 0; r < {batch * n}; r++) {{ s.fill(0); let j = {first}; "
        f"{fours * (four > 0)}{rest * (inner > four)}for (let c = 0; c < {m}; c++) o[r * {m} + c] = s[c]; }}"
    )


def _squeezed(step: Map) -> Map:
    """Return a map without the dimensions of size one."""
    kept = [d for d, n in enumerate(step.domain) if n != 1]

    def squeeze(access: Any) -> Any:
        if not isinstance(access, Access):
            return access
        looked = tuple((squeeze(inner), size, stride) for inner, size, stride in access.looked_up)
        return Access(access.buffer, tuple(access.strides[d] for d in kept), access.offset, looked)

    return Map(tuple(step.domain[d] for d in kept), step.code, tuple(map(squeeze, step.reads)), squeeze(step.out),
               step.adds, step.after)  # fmt: skip


def _merged(domain: list[int], strides: list[list[int]]) -> tuple[list[int], list[list[int]]]:
    """Return a domain, and strides over it, in which neighbouring dimensions are one where all strides allow it."""
    d = len(domain) - 2
    while d >= 0:
        if all(each[d] == each[d + 1] * domain[d + 1] for each in strides):
            domain[d] *= domain.pop(d + 1)
            for each in strides:
                each[d] = each.pop(d + 1)
        d -= 1
    return domain, strides


def _literal(value: Any) -> str:
    if value is True or value is False:
        return str(int(value))
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "(-Infinity)"}.get(value, "NaN")
    if isinstance(value, int | float):
        return f"({value!r})" if value < 0 or str(value).startswith("-") else repr(value)
    raise Refused(f"{value!r} is not a number that the page can compute with")
